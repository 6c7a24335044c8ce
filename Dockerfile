# pegainfer for the CPU in a small image:
#   docker build -t pegainfer .
#   docker run --rm -p 8000:8000 -v /path/to/models:/models:ro pegainfer /models/NAME
# Every flag is also a variable: -e PEGAINFER_MAX_NUM_SEQS=64. Run it with --read-only --tmpfs /tmp --cap-drop ALL
# --security-opt no-new-privileges; it writes nowhere but below /var/cache/pegainfer.
FROM debian:12-slim AS build
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends make git ca-certificates && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The package names the libraries it needs, so the second stage installs those and no other.
RUN apt-get update -qq && make deb PEGAINFER_CUDA=OFF JOBS="$(nproc)" && cp build/release-cpu/packages/*.deb /pegainfer.deb

FROM debian:12-slim
RUN --mount=type=bind,from=build,source=/pegainfer.deb,target=/pegainfer.deb \
    apt-get update -qq && apt-get install -y -qq --no-install-recommends /pegainfer.deb curl && rm -rf /var/lib/apt/lists/* && \
    install -d -o 65532 -g 65532 /var/cache/pegainfer
ENV PEGAINFER_HOST=0.0.0.0 PEGAINFER_CACHE_DIR=/var/cache/pegainfer HF_HOME=/models/huggingface
USER 65532:65532
EXPOSE 8000
STOPSIGNAL SIGTERM
# Alive, and loaded: orchestrators that tell these apart ask /livez and /readyz themselves.
HEALTHCHECK --interval=15s --timeout=5s --start-period=10m CMD ["curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:8000/readyz"]
ENTRYPOINT ["/usr/bin/pegainfer", "serve"]
