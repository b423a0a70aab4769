# unclip-cuda on Debian 12: `docker build -t unclip-cuda . && docker run --rm unclip-cuda -p "a red cube" -o - > out.png`
# BASE may be any Debian-like image; in one with a CUDA toolkit and cuDNN 9 the CUDA backend is built too.
ARG BASE=debian:12-slim

FROM ${BASE} AS build
RUN apt-get update && apt-get install -y --no-install-recommends build-essential cmake pkg-config libjansson-dev \
    libpng-dev libutf8proc-dev libstb-dev libdnnl-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN cmake --preset release -DUNCLIP_TESTS=OFF && cmake --build --preset release -j "$(nproc)" \
    && cmake --install build/release --prefix /opt/unclip-cuda --strip

FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends libjansson4 libpng16-16 libutf8proc2 libdnnl2 libgomp1 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/unclip-cuda /opt/unclip-cuda
ENV PATH=/opt/unclip-cuda/bin:$PATH
WORKDIR /work
ENTRYPOINT ["unclip-cuda"]
