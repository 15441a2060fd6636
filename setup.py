"""Which folders the wheel carries; everything else about the package stands in pyproject.toml."""

from __future__ import annotations

from setuptools import find_namespace_packages, setup

NOT_PACKAGES = ["__pycache__", "*.__pycache__"]

# The migrations are at the top of the checkout, where alembic.ini expects them, and inside the package once
# installed. Only a package_dir says that without a copy; a search in pyproject.toml would override it.
setup(
    packages=[
        *find_namespace_packages("app", exclude=NOT_PACKAGES),
        "dagbook._migrations",
        *(f"dagbook._migrations.{name}" for name in find_namespace_packages("migrations", exclude=NOT_PACKAGES)),
    ],
    package_dir={"": "app", "dagbook._migrations": "migrations"},
)
