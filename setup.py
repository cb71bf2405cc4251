"""The one thing that is compiled, where there is a compiler; everything else is in setup.cfg."""

from setuptools import Extension, setup

setup(
    # optional: without a compiler or Python's headers the installation succeeds all the same, and
    # stratum/plain_hashing.py does this in Python
    ext_modules=[
        Extension("stratum._sha256d", ["stratum/_sha256d.c"], extra_compile_args=["-O3"], optional=True)
    ]
)
