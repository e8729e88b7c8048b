"""What a function's process is started with: the runtime client, and its variables."""

import importlib.metadata
import os
import time
from collections.abc import Mapping
from pathlib import Path

from sandbox.cloudformation.settings import FunctionSettings

# What the managed runtime brings beside the standard library.
_RUNTIME_DISTRIBUTIONS = ("awslambdaric", "simplejson", "snapshot-restore-py")


def link_runtime(folder: Path) -> Path:
    """Fill `folder` with links to the runtime client and what it needs alone."""
    folder.mkdir()
    for name in _RUNTIME_DISTRIBUTIONS:
        distribution = importlib.metadata.distribution(name)
        tops = {file.parts[0] for file in distribution.files or []}
        for top in tops - {"__pycache__", ".."}:
            if not top.endswith(".dist-info"):
                (folder / top).symlink_to(Path(str(distribution.locate_file(top))))
    return folder


def lambda_environment(
    settings: FunctionSettings, runtime: Path, region: str, overrides: Mapping[str, str]
) -> dict[str, str]:
    """The variables a function finds, as on Lambda.

    AWS Lambda Developer Guide, "Working with Lambda environment variables", "Defined
    runtime environment variables".
    """
    # Lambda merges layers into one folder in which the last one wins.
    layers = list(reversed(settings.layers))
    python_path = [str(settings.code)]
    for layer in layers:
        python_path.append(str(layer / "python/lib/python3.13/site-packages"))
        python_path.append(str(layer / "python"))
    return {
        "AWS_DEFAULT_REGION": region,
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(settings.memory),
        "AWS_LAMBDA_FUNCTION_NAME": settings.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{settings.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{time.strftime('%Y/%m/%d')}/[$LATEST]sandbox",
        "AWS_REGION": region,
        "LAMBDA_RUNTIME_DIR": str(runtime),
        "LAMBDA_TASK_ROOT": str(settings.code),
        "LANG": "en_US.UTF-8",
        "LD_LIBRARY_PATH": ":".join(str(layer / "lib") for layer in layers),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": ":".join([*python_path, str(runtime)]),
        "TZ": ":UTC",
        "_HANDLER": settings.handler,
        # The developer's own profile must not leak in through the home directory.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        **settings.environment,
        **overrides,
    }
