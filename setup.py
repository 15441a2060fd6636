"""Which folders the wheel carries; everything else about the package stands in pyproject.toml."""

from __future__ import annotations

from setuptools import find_namespace_packages, setup

NOT_PACKAGES = ["__pycache__", "*.__pycache__"]

# The migrations live at the top of the checkout, where alembic.ini expects them, and inside the package once
# installed. Only a package_dir says that without a copy, and pyproject.toml cannot join one with a search.
setup(
    packages=[
        *find_namespace_packages(include=["app", "app.*"], exclude=NOT_PACKAGES),
        "app._migrations",
        *(f"app._migrations.{name}" for name in find_namespace_packages("migrations", exclude=NOT_PACKAGES)),
    ],
    package_dir={"app._migrations": "migrations"},
)
