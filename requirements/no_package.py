"""What `pip install .` calls. Porter is no package: it says what to do instead."""

from typing import NoReturn


def _refuse(*_arguments: object, **_options: object) -> NoReturn:
    raise SystemExit(
        "Porter is not installed, but run from its folder: ./run.sh prepares all it needs (see README.md)"
    )


get_requires_for_build_wheel = get_requires_for_build_sdist = get_requires_for_build_editable = _refuse
build_wheel = build_sdist = build_editable = prepare_metadata_for_build_wheel = _refuse
