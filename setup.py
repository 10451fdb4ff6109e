"""What pyproject.toml cannot say: the folder configs/ of a clone is gpnerf/configs/ in the installed package."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["gpnerf*"]), "gpnerf.configs"],
    package_dir={"gpnerf.configs": "configs"},
)
