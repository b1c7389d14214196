# Images: `docker build --target cpu|warp|gym|gym-warp|isaacgym`. See docs/docker.md.
# Digests make builds repeatable. To renew one: `docker buildx imagetools inspect python:3.11-slim-bookworm`; Dependabot does.
# If the registry cannot be reached, name another base: --build-arg PYTHON_IMAGE=... (Compose: MAPUSH_PYTHON_IMAGE).
ARG PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b
# If the registry cannot be reached, name another base: --build-arg CUDA_IMAGE=... (Compose: MAPUSH_CUDA_IMAGE).
ARG CUDA_IMAGE=nvidia/cuda:11.6.2-cudnn8-runtime-ubuntu20.04@sha256:ea2af6ed2bc770f83ed30235f7369b8c83a49b58cdb0bfd55f1227d89edfad8f

# git, for the commit of the checkout and for the sources of MAPush and HARL.
FROM ${PYTHON_IMAGE} AS git
# hadolint ignore=DL3008
RUN if ! command -v git && ! { apt-get update && apt-get install -y --no-install-recommends ca-certificates git; }; then \
      echo "Debian's package git could not be installed, see above: a base that has it is --build-arg PYTHON_IMAGE=..." >&2; exit 1; fi \
    && rm -rf /var/lib/apt/lists/*

# The checkout without NVIDIA's package, which has its own stage, and without .git: .commit holds the commit, with a "+" if
# files differ from it. It is empty if the build's folder is no clone; --build-arg COMMIT=... then names it.
FROM git AS checkout
ARG COMMIT=
COPY . /opt/mapush
WORKDIR /opt/mapush
RUN commit=${COMMIT:-$(git -c safe.directory=/opt/mapush describe --always --abbrev=40 --exclude='*' --dirty=+ || true)} \
    && rm -rf .git env/isaacgym/IsaacGym_* && echo "$commit" > .commit \
    && mkdir -p results && chmod 1777 results

# uv, which installs the rest, and nox, which runs the project's sessions in the images.
FROM ${PYTHON_IMAGE} AS tools
ARG PIP_INDEX_URL=https://pypi.org/simple
ARG SOURCE_DATE_EPOCH=315532800
COPY env/nox.lock /tmp/
RUN --mount=type=secret,id=ca \
    if [ -e /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi \
    && python3 -m venv /opt/tools \
    && if ! /opt/tools/bin/pip install --no-cache-dir --no-deps --require-hashes -r /tmp/nox.lock; then \
         echo "The package index $PIP_INDEX_URL failed, see above: another one is --build-arg PIP_INDEX_URL=...;" \
              "behind a proxy with its own certificates add --secret id=ca,src=BUNDLE (docs/docker.md)." >&2; exit 1; fi

# Shared by cpu and warp. Everyone may write into HOME, because a container runs as any user. OSMesa draws for `mapush play`.
FROM ${PYTHON_IMAGE} AS python
# hadolint ignore=DL3008
RUN if ! ls /usr/lib/x86_64-linux-gnu/libOSMesa.so* && ! { apt-get update && apt-get install -y --no-install-recommends libosmesa6; }; then \
      echo "Debian's package libosmesa6 could not be installed, see above: a base that has it is --build-arg PYTHON_IMAGE=..." >&2; \
      exit 1; fi \
    && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/*.log /var/cache/ldconfig/aux-cache /var/cache/apt/*.bin \
    && useradd --uid 1000 --create-home mapush && chmod 1777 /home/mapush \
    && mkdir -m 1777 /home/mapush/.cache
COPY --from=tools /opt/tools /opt/tools
ARG SOURCE_DATE_EPOCH=315532800
RUN ln -s /opt/tools/bin/nox /usr/local/bin/nox && python3 -m venv --without-pip /opt/venv
# The locks alone: a change of other files does not install the packages again.
COPY env/install.py env/requirements-py31*.lock env/extras-py31*.lock env/torch-c*.lock /opt/locks/
ENV HOME=/home/mapush PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /opt/mapush
ENTRYPOINT ["/opt/mapush/env/entrypoint.sh"]
CMD ["mapush", "--help"]

# MuJoCo on the CPU.
FROM python AS cpu
ARG PIP_INDEX_URL=https://pypi.org/simple
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG SOURCE_DATE_EPOCH=315532800
# Compiled modules hold the hash of their source, not its time: they are the same in every build.
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/.cache/uv \
    if [ -e /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca; fi \
    && if ! PATH=/opt/tools/bin:$PATH UV_CACHE_DIR=/root/.cache/uv UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 \
       PYC_INVALIDATION_MODE=CHECKED_HASH UV_DEFAULT_INDEX=$PIP_INDEX_URL MAPUSH_TORCH=cpu MAPUSH_TORCH_INDEX=$TORCH_INDEX \
       python3 /opt/locks/install.py /opt/venv/bin/python --project none; then \
         echo "A package could not be installed, see above. Other indexes are --build-arg PIP_INDEX_URL=... (now" \
              "$PIP_INDEX_URL) and TORCH_INDEX=... (now $TORCH_INDEX)." >&2; exit 1; fi
COPY --from=checkout /opt/mapush /opt/mapush
RUN PATH=/opt/tools/bin:$PATH env/install-here.sh
USER 1000:1000
# Exit code 2 (broken) is unhealthy; 1 (a warning, such as Docker's small /dev/shm) is not.
HEALTHCHECK --interval=5m --timeout=2m CMD ["sh", "-c", "mapush doctor --backend mujoco || [ $? -eq 1 ]"]
ARG COMMIT=
LABEL org.opencontainers.image.title="mapush-stack:cpu" org.opencontainers.image.revision="$COMMIT" \
      org.opencontainers.image.description="Teams of robots learn to push: MAPush on MuJoCo, on the CPU" \
      org.opencontainers.image.licenses="BSD-3-Clause"

# MuJoCo Warp on current NVIDIA GPUs. torch contains CUDA's libraries; NVIDIA's container runtime adds the driver.
FROM python AS warp
ARG PIP_INDEX_URL=https://pypi.org/simple
ARG SOURCE_DATE_EPOCH=315532800
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/.cache/uv \
    if [ -e /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca; fi \
    && if ! PATH=/opt/tools/bin:$PATH UV_CACHE_DIR=/root/.cache/uv UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 \
       PYC_INVALIDATION_MODE=CHECKED_HASH UV_DEFAULT_INDEX=$PIP_INDEX_URL MAPUSH_TORCH=cuda \
       python3 /opt/locks/install.py /opt/venv/bin/python --extras --project none; then \
         echo "A package could not be installed, see above. Another index is --build-arg PIP_INDEX_URL=... (now" \
              "$PIP_INDEX_URL)." >&2; exit 1; fi
COPY --from=checkout /opt/mapush /opt/mapush
RUN PATH=/opt/tools/bin:$PATH env/install-here.sh
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000:1000
HEALTHCHECK --interval=5m --timeout=2m CMD ["sh", "-c", "mapush doctor --backend warp || [ $? -eq 1 ]"]
ARG COMMIT=
LABEL org.opencontainers.image.title="mapush-stack:warp" org.opencontainers.image.revision="$COMMIT" \
      org.opencontainers.image.description="Teams of robots learn to push: MAPush on MuJoCo Warp, on NVIDIA GPUs" \
      org.opencontainers.image.licenses="BSD-3-Clause"

# NVIDIA's package, which its licence forbids to pass on. It is checked before anything else of the target isaacgym runs.
FROM ${PYTHON_IMAGE} AS isaacgym-package
COPY env/isaacgym /tmp/isaacgym
RUN python3 /tmp/isaacgym/check.py --recorded \
    && tar -xzf /tmp/isaacgym/IsaacGym_Preview_4_Package.tar.gz -C /opt --no-same-owner --exclude=isaacgym/docs \
    && rm -r /tmp/isaacgym

# The sources of MAPush and HARL, beside NVIDIA's package: without it nothing is fetched.
FROM git AS isaacgym-sources
COPY --from=isaacgym-package /opt/isaacgym /opt/isaacgym
ARG MAPUSH_URL=https://github.com/collaborative-mapush/MAPush
ARG HARL_URL=https://github.com/PKU-MARL/HARL
COPY env/isaacgym/fetch.sh env/isaacgym/sources.sh /tmp/
RUN --mount=type=secret,id=ca \
    if [ -e /run/secrets/ca ]; then export GIT_SSL_CAINFO=/run/secrets/ca; fi \
    && /tmp/sources.sh MAPush /opt/MAPush && /tmp/sources.sh HARL /opt/HARL

# Isaac Gym Preview 4 on Ubuntu 20.04, CUDA 11.6, Python 3.8 and torch 1.13.1.
FROM ${CUDA_IMAGE} AS isaacgym
COPY --from=isaacgym-sources /opt /opt
# g++ and Python's headers compile gymtorch at its first import; Isaac Gym needs the X and GL libraries. Mesa's EGL goes:
# beside NVIDIA's it makes Isaac Gym crash at exit, in eglReleaseThread.
# hadolint ignore=DL3008
RUN rm -f /etc/apt/sources.list.d/cuda*.list /etc/apt/sources.list.d/nvidia*.list \
    && apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
       g++ libegl1 libgl1 libglib2.0-0 libpython3.8 libvulkan1 libx11-6 libxcursor1 libxi6 libxinerama1 libxrandr2 \
       python3-distutils python3.8 python3.8-dev python3.8-venv \
    && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/*.log /var/cache/ldconfig/aux-cache /var/cache/apt/*.bin \
    && rm -f /usr/lib/x86_64-linux-gnu/libEGL_mesa.so.0* /usr/share/glvnd/egl_vendor.d/50_mesa.json \
    && useradd --uid 1000 --create-home mapush && chmod 1777 /home/mapush \
    && mkdir -m 1777 /home/mapush/.cache
COPY env/isaacgym/nvidia_icd.json /usr/share/vulkan/icd.d/
COPY env/isaacgym/10_nvidia.json /usr/share/glvnd/egl_vendor.d/
COPY env/nox.lock env/isaacgym/requirements.lock env/isaacgym/torch.lock /tmp/
ARG PIP_INDEX_URL=https://pypi.org/simple
ARG TORCH_CU116_INDEX=https://download.pytorch.org/whl/cu116
ARG SOURCE_DATE_EPOCH=315532800
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,from=tools,source=/opt/tools/bin/uv,target=/usr/local/bin/uv \
    if [ -e /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca; fi \
    && export UV_CACHE_DIR=/root/.cache/uv UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_DEFAULT_INDEX="$PIP_INDEX_URL" \
       PYC_INVALIDATION_MODE=CHECKED_HASH \
    && python3.8 -m venv --without-pip /opt/tools && python3.8 -m venv --without-pip /opt/venv \
    && if ! { uv pip install --python /opt/tools --no-deps --require-hashes -r /tmp/nox.lock \
              && uv pip install --python /opt/venv --no-deps --require-hashes -r /tmp/requirements.lock; }; then \
         echo "The package index $PIP_INDEX_URL failed, see above: another one is --build-arg PIP_INDEX_URL=..." >&2; exit 1; fi \
    && if ! uv pip install --python /opt/venv --no-deps --require-hashes --index "$TORCH_CU116_INDEX" -r /tmp/torch.lock; then \
         echo "torch for CUDA 11.6 could not be installed from $TORCH_CU116_INDEX, see above: a mirror is" \
              "--build-arg TORCH_CU116_INDEX=..." >&2; exit 1; fi \
    && ln -s /opt/tools/bin/nox /usr/local/bin/nox
COPY --from=checkout /opt/mapush /opt/mapush
WORKDIR /opt/mapush
ENV HOME=/home/mapush PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 \
    HARL_SRC=/opt/HARL MAPUSH_SRC=/opt/MAPush \
    LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu:$LD_LIBRARY_PATH \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,graphics,utility \
    VK_ICD_FILENAMES=/usr/share/vulkan/icd.d/nvidia_icd.json
# Packages of CUDA 12 would break torch for CUDA 11.6, with errors that name neither.
RUN --mount=type=bind,from=tools,source=/opt/tools/bin/uv,target=/usr/local/bin/uv \
    env/install-here.sh /opt/isaacgym/python /opt/MAPush /opt/HARL \
    && mapush patches apply && mapush patches verify \
    && set -- /opt/venv/lib/python3.8/site-packages/nvidia_cu* \
    && if [ -e "$1" ]; then echo "A second CUDA was installed beside torch's: $*" >&2; exit 1; fi \
    && python -c "import torch; assert torch.version.cuda == '11.6', torch.version.cuda"
USER 1000:1000
HEALTHCHECK --interval=5m --timeout=2m CMD ["sh", "-c", "mapush doctor --backend isaacgym || [ $? -eq 1 ]"]
ENTRYPOINT ["/opt/mapush/env/entrypoint.sh"]
CMD ["mapush", "--help"]
ARG COMMIT=
LABEL org.opencontainers.image.title="mapush-stack:isaacgym" org.opencontainers.image.revision="$COMMIT" \
      org.opencontainers.image.description="Teams of robots learn to push: MAPush in Isaac Gym. NVIDIA's licence: do not publish"

# The same sources without NVIDIA's package.
FROM git AS sources
ARG MAPUSH_URL=https://github.com/collaborative-mapush/MAPush
ARG HARL_URL=https://github.com/PKU-MARL/HARL
COPY env/isaacgym/fetch.sh env/isaacgym/sources.sh /tmp/
RUN --mount=type=secret,id=ca \
    if [ -e /run/secrets/ca ]; then export GIT_SSL_CAINFO=/run/secrets/ca; fi \
    && /tmp/sources.sh MAPush /opt/MAPush && /tmp/sources.sh HARL /opt/HARL

# MAPush's and HARL's own programs over MuJoCo, on the CPU (docs/gym_api.md).
FROM cpu AS gym
USER 0:0
ARG PIP_INDEX_URL=https://pypi.org/simple
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG SOURCE_DATE_EPOCH=315532800
COPY --from=sources /opt/MAPush /opt/MAPush
COPY --from=sources /opt/HARL /opt/HARL
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/.cache/uv \
    MAPUSH_TORCH=cpu MAPUSH_TORCH_INDEX=$TORCH_INDEX env/install-upstream.sh
ENV HARL_SRC=/opt/HARL MAPUSH_SRC=/opt/MAPush MAPUSH_GYM=mujoco
USER 1000:1000

# The same over MuJoCo Warp, on the GPU.
FROM warp AS gym-warp
USER 0:0
ARG PIP_INDEX_URL=https://pypi.org/simple
ARG SOURCE_DATE_EPOCH=315532800
COPY --from=sources /opt/MAPush /opt/MAPush
COPY --from=sources /opt/HARL /opt/HARL
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/.cache/uv MAPUSH_TORCH=cuda env/install-upstream.sh
ENV HARL_SRC=/opt/HARL MAPUSH_SRC=/opt/MAPush MAPUSH_GYM=warp
USER 1000:1000
