# Three images: `docker build --target cpu|warp|isaacgym`. See docs/docker.md.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG CUDA_IMAGE=nvidia/cuda:11.6.2-cudnn8-runtime-ubuntu20.04@sha256:ea2af6ed2bc770f83ed30235f7369b8c83a49b58cdb0bfd55f1227d89edfad8f

# The checkout without NVIDIA's package, which has its own stage.
FROM ${PYTHON_IMAGE} AS checkout
COPY . /opt/mapush
RUN rm -f /opt/mapush/env/isaacgym/*.tar.gz && mkdir -p /opt/mapush/results && chmod 1777 /opt/mapush/results

# uv, which installs the rest, and nox, which runs the project's sessions in the images.
FROM ${PYTHON_IMAGE} AS tools
ARG PIP_INDEX_URL=https://pypi.org/simple
COPY env/nox.lock /tmp/
RUN --mount=type=secret,id=ca \
    if [ -e /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi \
    && python3 -m venv /opt/tools \
    && /opt/tools/bin/pip install --no-cache-dir --no-deps --require-hashes -r /tmp/nox.lock

# Shared by cpu and warp. Everyone may write into HOME, because a container runs as any user.
FROM ${PYTHON_IMAGE} AS python
RUN useradd --uid 1000 --create-home mapush && chmod 1777 /home/mapush \
    && mkdir -m 1777 /home/mapush/.cache /opt/mapush
COPY --from=tools /opt/tools /opt/tools
RUN ln -s /opt/tools/bin/nox /usr/local/bin/nox && python3 -m venv --without-pip /opt/venv
COPY env/*.py env/*.lock /opt/mapush/env/
COPY pyproject.toml README.md /opt/mapush/
COPY mapush_stack/__init__.py /opt/mapush/mapush_stack/
WORKDIR /opt/mapush
ENV HOME=/home/mapush PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
ENTRYPOINT ["/opt/mapush/env/entrypoint.sh"]
CMD ["mapush", "--help"]

# MuJoCo on the CPU.
FROM python AS cpu
ARG PIP_INDEX_URL=https://pypi.org/simple
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/.cache/uv \
    if [ -e /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca; fi \
    && PATH=/opt/tools/bin:$PATH UV_CACHE_DIR=/root/.cache/uv UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 \
       UV_DEFAULT_INDEX=$PIP_INDEX_URL MAPUSH_TORCH=cpu MAPUSH_TORCH_INDEX=$TORCH_INDEX \
       python3 env/install.py /opt/venv/bin/python --editable
COPY --from=checkout /opt/mapush /opt/mapush
USER 1000:1000
# Exit code 2 (broken) is unhealthy; 1 (a warning, such as Docker's small /dev/shm) is not.
HEALTHCHECK --interval=5m --timeout=2m CMD ["sh", "-c", "mapush doctor --backend mujoco || [ $? -eq 1 ]"]

# MuJoCo Warp on current NVIDIA GPUs. torch contains CUDA's libraries; NVIDIA's container runtime adds the driver.
FROM python AS warp
ARG PIP_INDEX_URL=https://pypi.org/simple
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/.cache/uv \
    if [ -e /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca; fi \
    && PATH=/opt/tools/bin:$PATH UV_CACHE_DIR=/root/.cache/uv UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 \
       UV_DEFAULT_INDEX=$PIP_INDEX_URL MAPUSH_TORCH=cuda python3 env/install.py /opt/venv/bin/python --editable --extras
COPY --from=checkout /opt/mapush /opt/mapush
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000:1000
HEALTHCHECK --interval=5m --timeout=2m CMD ["sh", "-c", "mapush doctor --backend warp || [ $? -eq 1 ]"]

# NVIDIA's package, which its licence forbids to pass on. It is checked before anything else of the target isaacgym runs.
FROM ${PYTHON_IMAGE} AS isaacgym-package
COPY env/isaacgym /tmp/isaacgym
RUN python3 /tmp/isaacgym/check.py --recorded \
    && tar -xzf /tmp/isaacgym/IsaacGym_Preview_4_Package.tar.gz -C /opt --no-same-owner --exclude=isaacgym/docs \
    && rm -r /tmp/isaacgym

# The sources of MAPush and HARL.
FROM isaacgym-package AS isaacgym-sources
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates git && rm -rf /var/lib/apt/lists/*
ARG MAPUSH_URL=https://github.com/collaborative-mapush/MAPush
ARG HARL_URL=https://github.com/PKU-MARL/HARL
COPY env/isaacgym/fetch.sh /tmp/
RUN --mount=type=secret,id=ca \
    if [ -e /run/secrets/ca ]; then export GIT_SSL_CAINFO=/run/secrets/ca; fi \
    && /tmp/fetch.sh "$MAPUSH_URL" 0e61e1bac03ed42300b48bb988d4a5b87cdee13b \
       4b47a8ed0aa0951e4572c8511d65c6f06a8cd4ed63336549e9b7683417c4d228 /opt/MAPush \
    && /tmp/fetch.sh "$HARL_URL" d539bad20f677bc4ce9fa200fa5de31b5f0b9d37 \
       161c043f7e621ff9ec2220d742b8cb0dfd844b61d0ad7aef83a11b082167dfe5 /opt/HARL

# Isaac Gym Preview 4 on Ubuntu 20.04, CUDA 11.6, Python 3.8 and torch 1.13.1.
FROM ${CUDA_IMAGE} AS isaacgym
COPY --from=isaacgym-sources /opt /opt
# g++ and Python's headers compile gymtorch at its first import; Isaac Gym needs the X and GL libraries.
# hadolint ignore=DL3008
RUN rm -f /etc/apt/sources.list.d/cuda*.list /etc/apt/sources.list.d/nvidia*.list \
    && apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
       g++ libegl1 libgl1 libglib2.0-0 libpython3.8 libvulkan1 libx11-6 libxcursor1 libxi6 libxinerama1 libxrandr2 \
       python3.8 python3.8-dev python3.8-venv \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home mapush && chmod 1777 /home/mapush \
    && mkdir -m 1777 /home/mapush/.cache /opt/mapush
COPY env/isaacgym/nvidia_icd.json /usr/share/vulkan/icd.d/
COPY env/isaacgym/10_nvidia.json /usr/share/glvnd/egl_vendor.d/
COPY env/nox.lock env/isaacgym/requirements.lock env/isaacgym/torch.lock /tmp/
ARG PIP_INDEX_URL=https://pypi.org/simple
ARG TORCH_CU116_INDEX=https://download.pytorch.org/whl/cu116
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,from=tools,source=/opt/tools/bin/uv,target=/usr/local/bin/uv \
    if [ -e /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca; fi \
    && export UV_CACHE_DIR=/root/.cache/uv UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_DEFAULT_INDEX="$PIP_INDEX_URL" \
    && python3.8 -m venv --without-pip /opt/tools && python3.8 -m venv --without-pip /opt/venv \
    && uv pip install --python /opt/tools --no-deps --require-hashes -r /tmp/nox.lock \
    && uv pip install --python /opt/venv --no-deps --require-hashes -r /tmp/requirements.lock \
    && uv pip install --python /opt/venv --no-deps --require-hashes --index "$TORCH_CU116_INDEX" -r /tmp/torch.lock \
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
    uv pip install --python /opt/venv --offline --no-cache --no-deps --no-build-isolation \
       -e /opt/isaacgym/python -e /opt/MAPush -e /opt/HARL -e /opt/mapush \
    && mapush patches apply && mapush patches verify \
    && set -- /opt/venv/lib/python3.8/site-packages/nvidia_cu* \
    && if [ -e "$1" ]; then echo "A second CUDA was installed beside torch's: $*" >&2; exit 1; fi \
    && python -c "import torch; assert torch.version.cuda == '11.6', torch.version.cuda"
USER 1000:1000
HEALTHCHECK --interval=5m --timeout=2m CMD ["sh", "-c", "mapush doctor --backend isaacgym || [ $? -eq 1 ]"]
ENTRYPOINT ["/opt/mapush/env/entrypoint.sh"]
CMD ["mapush", "--help"]
