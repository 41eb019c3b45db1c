# A small image that runs `crawler` as an ordinary user, built from the wheel.
#
#   docker build -t crawler .
#   docker run --rm -v "$PWD:/data" crawler urls.txt -o records.jsonl
FROM python:3.13-slim AS build
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.13-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir "$(ls /wheels/*.whl)[dashboard,metrics,redis,socks,websocket]" \
    && useradd --uid 10001 --create-home crawler \
    && install -d -o crawler -g crawler /data
USER crawler
WORKDIR /data
VOLUME /data
ENV PYTHONUNBUFFERED=1
# Ctrl-C and `docker stop`: SIGTERM ends a run in order, and a job goes on with the same command.
STOPSIGNAL SIGTERM
# A run with `--console /data/console.sock` has to answer; one without has nothing to be asked.
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s \
    CMD ["sh", "-c", "test ! -S console.sock || echo status | crawler attach console.sock"]
ENTRYPOINT ["crawler"]
CMD ["--help"]
