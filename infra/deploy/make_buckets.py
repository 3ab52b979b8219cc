"""Make buckets that are not there: ``python -m infra.deploy.make_buckets NAME…``."""

from __future__ import annotations

import sys

import fsspec


def main() -> None:
    """Of the store that ``AWS_ENDPOINT_URL`` names."""
    store = fsspec.filesystem("s3")
    for name in sys.argv[1:]:
        if not store.exists(name):
            store.mkdir(name)


if __name__ == "__main__":
    main()
