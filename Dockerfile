# A node that checks proof of work on the processor (docs/docker.md).
#
#   docker build -t kigo .

# Debian 12 in both stages: the program needs a glibc no older than its own.
FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
ARG REVISION=
RUN make NO_CUDA=1 VERSION="$VERSION" REVISION="$REVISION"

FROM debian:bookworm-slim
RUN useradd --no-log-init --uid 10001 --create-home --home-dir /var/lib/kigo kigo
COPY --from=build /src/bin/kigo /usr/local/bin/kigo
COPY --from=build /src/LICENSE /usr/local/share/doc/kigo/LICENSE
ENV KIGO_DATA_DIR=/var/lib/kigo \
    KIGO_NODE_LISTEN=0.0.0.0:2095 \
    KIGO_API_LISTEN=127.0.0.1:2096
USER kigo
WORKDIR /var/lib/kigo
VOLUME /var/lib/kigo
EXPOSE 2095
HEALTHCHECK --interval=30s --timeout=6s --start-period=60s CMD ["kigo", "health"]
ENTRYPOINT ["kigo"]
CMD ["run"]
