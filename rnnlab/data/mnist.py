"""MNIST: 70,000 handwritten digits of 28x28, prepared once through TFDS and read without TensorFlow."""

import contextlib
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from rnnlab.data.store import check_files, data_dir, first_line, sha256, unreachable
from rnnlab.errors import InputError
from rnnlab.types import Dataset, Split

URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"  # the address in TFDS's own mnist builder
FILES = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
CONTENT = {  # SHA-256 of all pixels and then all labels, as bytes in the official order
    "train": "edc0d1098aa497be14ace79ddd5171e5a3dcf9c4d196c015389203eb3ba1f59b",
    "test": "c3f9adf9c66efb572b1f9326c3a511b45910c7173b97be66ceceeeeaef6b802b",
}
SEED = 28
VALIDATION = 5_000  # of the 60,000 official training images
COMMAND = "python -m experiments data mnist"


def folder() -> Path:
    """Where TFDS keeps the prepared files."""
    return data_dir() / "rnnlab_mnist" / "1.0.0"


def is_prepared() -> bool:
    """Whether a preparation has come to its end here; TFDS moves a whole folder into place as its last act."""
    return (folder() / "dataset_info.json").is_file()


def prepare(source: Path | None) -> str:
    """Prepares from the four official files in ``source``, or downloads them; returns a line that says what was done.

    InputError for files that are missing or altered and for a host that cannot be reached, before anything is written.
    OSError (a full disk, no permission) passes through; nothing that looks prepared is left behind.
    """
    if source is not None:
        check_files("mnist", source, FILES)
    if _is_valid():
        return f"mnist: already prepared in {folder()}"
    if source is None and (reason := unreachable(URL + next(iter(FILES)))):
        raise _no_download(reason)
    folder().parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="incomplete.", dir=folder().parent) as scratch:
            if source is None:
                _download(Path(scratch))
            _build(source or Path(scratch), Path(scratch))
    except Exception:
        if not _is_valid():  # else another process has done the same meanwhile, and its work stays
            raise
    for left in folder().parent.glob("incomplete.*"):  # of preparations that were killed
        shutil.rmtree(left, ignore_errors=True)
    return f"mnist: prepared in {folder()} from {URL if source is None else source}"


def load(window: int) -> Dataset:
    """Inputs ``[N, 28, 28]`` uint8, the rows of an image as steps; targets ``[N]`` int32. ``window`` is not used.

    Validation is drawn from the official training images, train is the rest of them, test the official 10,000; each in
    the official order. Downloads where nothing is prepared. InputError where that fails or what is prepared is damaged.
    """
    if not is_prepared():
        prepare(None)
    parts = _read()
    images, labels = parts["train"]
    # RandomState: its stream is frozen by numpy's compatibility policy, that of default_rng is not.
    chosen = np.zeros(len(labels), bool)
    chosen[np.random.RandomState(SEED).permutation(len(labels))[:VALIDATION]] = True
    split = f"validation: {VALIDATION} of the official train by RandomState({SEED}); test: the official one"
    return Dataset(
        name="mnist",
        task="classification",
        input_size=28,
        output_size=10,
        train=Split(images[~chosen], labels[~chosen]),
        validation=Split(images[chosen], labels[chosen]),
        test=Split(*parts["test"]),
        source={"sha256": dict(CONTENT), "split": split},
        scale=1 / 255,
    )


def _no_download(reason: str) -> InputError:
    return InputError(
        f"data: mnist is not prepared in {data_dir()} and cannot be downloaded from {urlsplit(URL).hostname} "
        f"({reason}); with its four official files ({', '.join(FILES)}) in a folder DIR, run: {COMMAND} --from DIR"
    )


def _read() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images ``[N, 28, 28]`` uint8 and labels ``[N]`` int32 by official split and in official order, or InputError."""
    from rnnlab.data import mnist_builder

    parts = {}
    try:
        for split, wanted in CONTENT.items():
            images, labels = mnist_builder.read(data_dir(), split)
            if sha256(images.tobytes(), labels.tobytes()) != wanted:
                raise ValueError(f"the {split} images are not the official ones")
            parts[split] = images, labels.astype(np.int32)
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # array_record, protobuf and TFDS each raise their own kinds for a damaged file
        raise InputError(
            f"data: mnist in {folder()} is damaged ({first_line(error)}); prepare it anew: {COMMAND}, "
            f"or {COMMAND} --from DIR with its four official files in DIR"
        ) from error
    return parts


def _is_valid() -> bool:
    with contextlib.suppress(InputError):
        return is_prepared() and bool(_read())
    return False


def _download(target: Path) -> None:
    """Fetches the four files into ``target`` and checks them."""
    from rnnlab.data import mnist_builder

    try:
        mnist_builder.fetch(URL, FILES, target)
        check_files("mnist", target, FILES)
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's: what the network layer raises carries no errno
        raise _no_download(first_line(error)) from error


def _build(source: Path, scratch: Path) -> None:
    """Writes from checked files, and reads back what was written."""
    from rnnlab.data import mnist_builder

    if folder().exists() and not _is_valid():
        shutil.rmtree(folder())  # TFDS would take any folder of this name for its own finished work
    try:
        mnist_builder.write(data_dir(), source, scratch)
    except RuntimeError as error:  # array_record's word for a full disk
        raise OSError(first_line(error)) from error
    if not _is_valid():
        shutil.rmtree(folder(), ignore_errors=True)
        raise OSError(f"what was written to {folder()} cannot be read back; is the disk failing?")
