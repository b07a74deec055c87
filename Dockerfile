# The command vesuv in a container.
#   docker build -t vesuv .                                          PyTorch's default build (CUDA)
#   docker build -t vesuv:cpu --build-arg TORCH_INDEX=ADDRESS .      another one: PyTorch's installation
#                                                                    page names the addresses
#   docker run --rm --gpus all -v "$PWD:/work" vesuv train --config my.yaml --fold 0
FROM python:3.11-slim

ARG TORCH_INDEX=

# The wheels of PyTorch and of OpenCV-free packages need no compiler; libgomp is PyTorch's.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libgomp1 \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/vesuv
COPY constraints.txt pyproject.toml setup.py MANIFEST.in README.md LICENSE ./
COPY configs configs
COPY vesuv vesuv

# PyTorch first, in the version of constraints.txt.
RUN torch=$(grep -E '^torch==' constraints.txt) \
 && pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$torch" \
 && pip install --no-cache-dir --constraint constraints.txt ".[nnunet]"

RUN useradd --create-home vesuv && mkdir /work && chown vesuv /work
USER vesuv
WORKDIR /work
ENTRYPOINT ["vesuv"]
CMD ["--help"]
