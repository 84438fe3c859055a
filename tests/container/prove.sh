#!/usr/bin/env bash
# Builds the image and proves what the README says of it: make container
#
# With docker it builds on the real base. Without an engine it needs root, buildah and mmdebstrap (both in Debian), makes
# a stand-in base and runs the same Dockerfile on it, in namespaces of its own: every instruction, the requirements, the
# user, the read-only root, the port, the health check and the signal are real; python:slim and BuildKit are not.
set -euo pipefail
cd "$(dirname "$0")/../.."

PORT=${PORT:-7861}
IMAGE=hunyuan-ui:prove
STANDIN=localhost/python-standin:bookworm
WORK=$(mktemp -d)
CANARY=SG_canary$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs

say() { printf '%s\n' "$*"; }
fail() { say "FAILED: $*" >&2; exit 1; }
has_docker() { command -v docker >/dev/null && docker info >/dev/null 2>&1; }

copy_context() { # what a checkout holds, and a secret that must stay out
  mkdir "$WORK/context"
  git ls-files -z --cached --others --exclude-standard | xargs -0 -I{} sh -c '[ ! -f "$1" ] || printf "%s\0" "$1"' _ {} |
    tar --null --files-from=- -c | tar -x -C "$WORK/context"
  printf 'SEGMIND_API_KEY=%s\n' "$CANARY" | tee "$WORK/context/.env" >"$WORK/context/hunyuan_ui/.env"
  mkdir -p "$WORK/context/data" && cp "$WORK/context/.env" "$WORK/context/data/ledger.sqlite3"
}

make_standin() {
  buildah inspect "$STANDIN" >/dev/null 2>&1 && return
  say "making a stand-in for the base image ..."
  mmdebstrap --quiet --variant=minbase --include=ca-certificates,python3,python3-venv,python3-pip bookworm "$WORK/base.tar"
  local box
  box=$(buildah from scratch)
  buildah add -q "$box" "$WORK/base.tar" / >/dev/null
  buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$box"
  buildah commit -q "$box" "$STANDIN" >/dev/null
  buildah rm "$box" >/dev/null
  rm "$WORK/base.tar"
}

build() {
  if has_docker; then
    docker build --quiet --tag "$IMAGE" "$WORK/context" >/dev/null
    return
  fi
  make_standin
  local volumes=(--volume /etc/ssl/certs:/etc/ssl/certs:ro)
  [ ! -f /etc/pip.conf ] || volumes+=(--volume /etc/pip.conf:/etc/pip.conf:ro)
  # Without --format docker the health check is dropped.
  buildah bud -q --format docker --pull-never --network host "${volumes[@]}" \
    --build-arg "PYTHON_IMAGE=$STANDIN" --tag "$IMAGE" "$WORK/context" >/dev/null
}

unpack() { # the image's files in $ROOTFS and its settings in image.json, with either engine
  ROOTFS=$WORK/rootfs
  if has_docker; then
    docker image inspect "$IMAGE" --format '{{json .Config}}' >"$WORK/image.json"
    BOX=$(docker create "$IMAGE")
    mkdir "$ROOTFS" && docker export "$BOX" | tar -x -C "$ROOTFS" --no-same-owner
    docker rm "$BOX" >/dev/null
    return
  fi
  BOX=$(buildah from --pull-never "$IMAGE")
  buildah inspect --type image "$IMAGE" | python3 -c 'import json, sys; json.dump(json.load(sys.stdin)["Docker"]["config"], sys.stdout)' >"$WORK/image.json"
  ROOTFS=$(buildah mount "$BOX")
}

start() {
  mkdir -p "$WORK/data" && chmod 777 "$WORK/data"
  if has_docker; then
    docker run --detach --name hunyuan-ui-prove --read-only --tmpfs /tmp --cap-drop ALL \
      --security-opt no-new-privileges --publish "127.0.0.1:$PORT:7860" "$IMAGE" >/dev/null
    return
  fi
  chown 1000:1000 "$WORK/data"
  mapfile -t ENVIRONMENT < <(python3 -c 'import json, sys; print(*json.load(open(sys.argv[1]))["Env"], sep="\n")' "$WORK/image.json")
  ENVIRONMENT+=("GRADIO_SERVER_PORT=$PORT") # the network is the machine's own
  printf '127.0.0.1 localhost\n::1 localhost\n' >"$ROOTFS/etc/hosts" # as every engine does
  # Python is process 1 there, as in a container: nobody else would hear SIGTERM.
  unshare --mount --pid --fork bash -euc '
    rootfs=$1 data=$2; shift 2
    mount --bind "$rootfs" "$rootfs" && mount -o remount,bind,ro "$rootfs"
    mount --bind "$data" "$rootfs/data"
    mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$rootfs/tmp"
    mount -t proc proc "$rootfs/proc"
    mount --rbind /dev "$rootfs/dev"
    exec setpriv --no-new-privs chroot --userspec=1000:1000 "$rootfs" env -i "$@" sh -c "cd /app && exec python app.py"
  ' _ "$ROOTFS" "$WORK/data" "${ENVIRONMENT[@]}" >"$WORK/log" 2>&1 &
  RUNNING=$!
}

first_process() { tr -d ' ' <"/proc/$RUNNING/task/$RUNNING/children"; }

inside() { # run a command in the started container
  if has_docker; then
    docker exec hunyuan-ui-prove "$@"
  else
    nsenter --target "$(first_process)" --mount --pid --root --wdns=/app \
      --setuid 1000 --setgid 1000 env -i "${ENVIRONMENT[@]}" "$@"
  fi
}

log() { if has_docker; then docker logs hunyuan-ui-prove 2>&1; else cat "$WORK/log"; fi; }

stop() { # SIGTERM, then the exit code
  if has_docker; then
    docker stop --time 20 hunyuan-ui-prove >/dev/null
    docker inspect hunyuan-ui-prove --format '{{.State.ExitCode}}'
    return
  fi
  kill -TERM "$(first_process)"
  local code=0
  wait "$RUNNING" || code=$?
  say "$code"
}

clean() {
  if has_docker; then
    docker rm --force hunyuan-ui-prove >/dev/null 2>&1 || true
  else
    [ -z "${RUNNING:-}" ] || pkill -KILL -P "$RUNNING" 2>/dev/null || true
    [ -z "${BOX:-}" ] || buildah rm "$BOX" >/dev/null 2>&1 || true
  fi
  rm -rf "$WORK"
}
trap clean EXIT

copy_context
build
unpack
say "built: $(du -sm "$ROOTFS" 2>/dev/null | cut -f1) MB"

! grep -rqs "$CANARY" "$ROOTFS/app" "$ROOTFS/data" "$ROOTFS/tmp" || fail "a secret beside the code came into the image"
[ ! -e "$ROOTFS/app/tests" ] || fail "the tests came into the image"
python3 - "$WORK/image.json" <<'EOF'
import json, sys
config = json.load(open(sys.argv[1]))
assert config["User"] == "1000:1000", config["User"]
assert config["Cmd"] == ["python", "app.py"], config["Cmd"]
assert "7860/tcp" in config["ExposedPorts"] and "/data" in config["Volumes"]
assert config["Healthcheck"]["Test"][0] == "CMD" and config["StopSignal"] == "SIGTERM"
EOF
say "no secret in the image; user, command, port, volume, health check and stop signal as written"

start
for _ in $(seq 120); do
  curl -fs -o "$WORK/page" "http://127.0.0.1:$PORT/" && break
  sleep 0.5
done
[ -s "$WORK/page" ] || { log; fail "the page never answered"; }
[ "$(inside id -u)" = 1000 ] || fail "it does not run as 1000"
for place in / /app /app/hunyuan_ui /etc /venv /home; do
  ! inside touch "$place/probe" 2>/dev/null || fail "$place can be written"
done
for place in /data /tmp; do inside touch "$place/probe" || fail "$place cannot be written"; done
say "answers; runs as 1000 on a read-only root, with /data and /tmp writable"

mapfile -t check < <(python3 -c 'import json, sys; print(*json.load(open(sys.argv[1]))["Healthcheck"]["Test"][1:], sep="\n")' "$WORK/image.json")
inside "${check[@]}" || { log; fail "the health check says no"; }
[ -f "$WORK/data/ledger.sqlite3" ] || inside test -f /data/ledger.sqlite3 || fail "the ledger is not in /data"
say "the health check passes; the ledger is in /data"

stop >"$WORK/code"
code=$(cat "$WORK/code")
[ "$code" = 0 ] || { log; fail "SIGTERM ended it with $code"; }
log | grep runner.stopped >/dev/null || { log; fail "SIGTERM did not let the runner end"; }
say "SIGTERM ends it in order, with exit code 0"
say "PROVEN$(has_docker && printf ' on the real base' || printf ' on a stand-in base')"
