# docker build --tag mmbench .                                  (CPU)
# docker build --build-arg TORCH=cu128 --tag mmbench:cuda .     (NVIDIA; run with --gpus all)
# docker run --rm --volume "$PWD":/data mmbench run quickstart
ARG PYTHON=3.13
FROM python:${PYTHON}-slim

# Which build of torch: cpu, or a CUDA version of its index, such as cu128.
ARG TORCH=cpu
RUN pip install --no-cache-dir torch torchvision --index-url "https://download.pytorch.org/whl/${TORCH}"

COPY . /src
RUN pip install --no-cache-dir "/src[rsna,lora]" && rm -rf /src

# Results and settings go to the folder that is mounted; anybody may run it.
ENV HOME=/tmp MMBENCH_CACHE=/data/.mmbench OMP_NUM_THREADS=1
WORKDIR /data
RUN chmod 777 /data
USER 1000
ENTRYPOINT ["mmbench"]
CMD ["--help"]
