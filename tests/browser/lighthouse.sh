#!/usr/bin/env bash
# Lighthouse on the start page, by hand: accessibility, best practices and SEO must reach 100. It needs Node and npm, which
# the tests do not. A page that already runs: tests/browser/lighthouse.sh http://127.0.0.1:7860
set -euo pipefail
cd "$(dirname "$0")/../.."

reach=100
url=${1:-}
work=$(mktemp -d)
app=
trap 'if [ -n "$app" ]; then kill "$app" 2>/dev/null || true; wait "$app" 2>/dev/null || true; fi; rm -rf "$work"' EXIT

if [ -z "$url" ]; then
  port=$(.venv/bin/python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  url=http://127.0.0.1:$port
  env -u SEGMIND_API_KEY HUNYUAN_UI_DATA_DIR="$work/data" GRADIO_SERVER_PORT="$port" GRADIO_ANALYTICS_ENABLED=False \
    HF_HUB_OFFLINE=1 .venv/bin/python app.py >"$work/app.log" 2>&1 &
  app=$!
  for _ in $(seq 120); do
    curl -fs "$url/gradio_api/healthz" >/dev/null && break
    kill -0 "$app" || { cat "$work/app.log"; exit 1; }
    sleep 0.5
  done
fi

CHROME_PATH=${CHROME_PATH:-$(command -v chromium)} npx --yes lighthouse@12 "$url" \
  --quiet --output=json --output-path="$work/report.json" \
  --only-categories=accessibility,best-practices,performance,seo \
  --chrome-flags="--headless=new --no-sandbox --disable-gpu"

.venv/bin/python - "$work/report.json" "$reach" <<'PY'
import json
import sys
from pathlib import Path

report, reach = json.loads(Path(sys.argv[1]).read_text("utf-8")), int(sys.argv[2])
scores = {name: round(100 * category["score"]) for name, category in report["categories"].items()}
for name, score in scores.items():
    print(f"{name:16} {score}")
for name in ("accessibility", "best-practices", "seo"):
    for part in report["categories"][name]["auditRefs"]:
        audit = report["audits"][part["id"]]
        if part["weight"] and audit["score"] not in (None, 1):
            print(f"  {name}: {audit['title']}")
sys.exit(min(scores[name] for name in ("accessibility", "best-practices", "seo")) < reach)
PY
