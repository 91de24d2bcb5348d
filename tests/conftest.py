"""Real data that several kinds of tests need."""

import zipfile
from pathlib import Path

import pytest

# Folders whose files take minutes, the longest first.
LONG = ("whole", "fidelity", "training")
CENSUS = Path(__file__).parents[2] / "shared" / "data" / "census"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, so that at the end no worker is left with one while the others have none."""
    items.sort(key=lambda item: next((place for place, folder in enumerate(LONG) if folder in item.path.parts), len(LONG)))


@pytest.fixture(scope="session")
def census_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The UCI census files as published, packed here."""
    if not CENSUS.is_dir():
        pytest.skip(f"needs the UCI census data (adult.data, adult.test) in {CENSUS}")
    path = tmp_path_factory.mktemp("census") / "adult.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("adult.data", "adult.test"):
            archive.write(CENSUS / name, name)
    return path
