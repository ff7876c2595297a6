"""How long the four phantom domains take at default size: ``python -m benchmarks.performance.phantom``."""

import time

from mmbench.data.phantom import DOMAINS, generate


def main():
    """Print the seconds for each domain at 64 x 64 pixels, and their sum."""
    total, images = 0.0, 0
    for name in DOMAINS:
        start = time.process_time()
        count = len(generate(name, {}, cases=None, image_size=64).images)
        seconds = time.process_time() - start
        total, images = total + seconds, images + count
        print(f"{name:14s} {count:5d} images {seconds:6.1f} s")
    print(f"{'all':14s} {images:5d} images {total:6.1f} s of one core")


if __name__ == "__main__":
    main()
