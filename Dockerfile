# syntax=docker/dockerfile:1
# Another base of the same kind: docker build --build-arg PYTHON_IMAGE=python:3.13-slim-bookworm .
ARG PYTHON_IMAGE=python:3.12-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python3 -m venv /venv
# Several processes on one database and bucket: docker build --build-arg REQUIREMENTS=requirements-scale.txt .
ARG REQUIREMENTS=requirements.txt
# Requirements before the code: a change to the code does not install everything again.
COPY requirements.txt requirements-scale.txt ./
RUN /venv/bin/python -m pip install --quiet -r requirements.txt -r "${REQUIREMENTS}"

FROM ${PYTHON_IMAGE}
# Spaces run containers as 1000; a numeric user also works where the image's user list is not looked at.
RUN useradd --uid 1000 --user-group --create-home visitor \
    && install --directory --owner=1000 --group=1000 /data
COPY --from=build /venv /venv
COPY LICENSE app.py /app/
COPY hunyuan_ui /app/hunyuan_ui
RUN /venv/bin/python -m compileall -q /app

ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    HUNYUAN_UI_DATA_DIR=/data \
    GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860 \
    GRADIO_TEMP_DIR=/tmp/gradio \
    GRADIO_ANALYTICS_ENABLED=False
WORKDIR /app
USER 1000:1000
VOLUME /data
EXPOSE 7860
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-m", "hunyuan_ui.health_probe"]
CMD ["python", "app.py"]
