"""What an extraction has to do: nothing, the rest of an interrupted one, or all of it."""

import glob
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch.utils.data import Subset

from mlgcn_pyg.checks import check_count, check_positive
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features import format
from mlgcn_pyg.features.loading import Views, broken_error, broken_images
from mlgcn_pyg.features.provenance import ENVIRONMENT, KEY, differences
from mlgcn_pyg.features.reading import NewerFormat, read
from mlgcn_pyg.features.writer import FeatureWriter, merge
from mlgcn_pyg.files import check_file_name, locked, partial_path


@dataclass
class Plan:
    """An extraction into ``path`` with the content key ``wanted`` (see ``provenance``)."""

    path: Path
    source: Views
    wanted: dict
    on_error: str
    overwrite: bool
    num_workers: int
    progress: Callable[[int, str], None] | None
    notify: Callable[[str], None]

    @property
    def partial(self) -> Path:
        return partial_path(self.path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One writer at a time; a path that cannot be written is refused before any work."""
        check_file_name("path", self.path)
        check_file_name("path", self.partial)
        with ExitStack() as lock:
            try:
                self.partial.parent.mkdir(parents=True, exist_ok=True)
                lock.enter_context(locked(self.partial))
            except OSError as error:
                raise InputError("path", "a place that can be written", f"{self.path} ({error.strerror})") from error
            yield

    def finished(self) -> bool:
        """Whether the file is there already; InputError, naming each field that differs, for another one."""
        if self.overwrite or not self.path.is_file():
            return False
        self._refuse_other(self.path, read(self.path).meta, KEY)
        return True

    def prepare(self) -> list[int] | None:
        """The batches to be computed, with the file in the making there to take them; None if there is nothing to do.

        Raises InputError, naming each field that differs, for a file with another content key.
        """
        if self.finished():
            return None
        found = self._unfinished()
        if found is not None and self.on_error == "skip" and found.meta["on_error"] == "stop":
            # which images are there may change; the batches that stay the same are taken over below
            os.replace(self.partial, f"{self.partial}.rank-before")
            self._create()
        elif found is None:
            self._create()
        with FeatureWriter(self.partial) as writer:
            good = writer.proven(self.progress)
            if damaged := ((writer.contents.done == 1) & ~good).nonzero()[0].tolist():
                writer.mark(damaged, False)
                self.notify(f"{len(damaged)} finished batches of {self.partial} were damaged: computed again")
            missing = self.collect(writer, (~good).nonzero()[0].tolist())
        if found is not None:
            total = writer.contents.num_batches
            self.notify(f"going on with {self.partial}: {total - len(missing)} of {total} batches are good")
        return missing

    def collect(self, writer: FeatureWriter, missing: list[int]) -> list[int]:
        """Takes over batches from the other processes' files, of this or an interrupted run; returns those left."""
        for file in sorted(self.partial.parent.glob(f"{glob.escape(self.partial.name)}.rank*")):
            try:
                meta = read(file, complete=False).meta
                same = not differences(meta, self.wanted, KEY + ENVIRONMENT)
            except InputError:  # cut off while it was being made
                same = False
            if same:
                missing = merge(writer, file, missing)
            writer.sync()
            file.unlink()
        return missing

    def helper_file(self, rank: int) -> Path:
        """A file of the same header for the batches of another process."""
        main, file = read(self.partial, complete=False), self.partial.with_name(f"{self.partial.name}.rank{rank}")
        parts = (main.targets, main.label_names, main.ids, main.meta, main.batch_size)
        format.create(file, main.shape, main.dtype.name, *parts)
        return file

    def _unfinished(self) -> format.Contents | None:
        """What an interrupted extraction of the same content left; None where there is nothing to go on with."""
        if not self.partial.exists():
            return None
        try:
            found = read(self.partial, complete=False)
        except NewerFormat:
            raise
        except InputError as error:
            with open(self.partial, "rb") as file:
                start = file.read(8)
            if start not in (b"", bytes(len(start)), b"\x89HDF\r\n\x1a\n"):
                raise InputError("path", "a file in the making", f"another file {self.partial}", "remove it") from error
            if start.strip(b"\0"):  # killed while it was being made, or damaged since
                self.notify(f"{self.partial} cannot be gone on with ({error}): starting anew")
            return None
        if not self.overwrite:
            self._refuse_other(self.partial, found.meta, KEY + ENVIRONMENT)
        elif self._differing(found.meta, KEY + ENVIRONMENT):
            return None
        return found

    def _differing(self, meta: dict, fields: tuple[str, ...]) -> list[str]:
        differing = differences(meta, self.wanted, fields)
        if self.on_error == "stop" and (skipped := meta.get("skipped")):
            differing.append(f"skipped: {len(skipped)} images in the file, none asked for")
        return differing

    def _refuse_other(self, path: Path, meta: dict, fields: tuple[str, ...]) -> None:
        if differing := self._differing(meta, fields):
            fix = "choose another path, or replace it with overwrite=True (--overwrite)"
            raise InputError(
                "path", "a new file, or one with the same content key", f"{path} with {'; '.join(differing)}", fix
            )

    def _create(self) -> None:
        data, batch_size = self.source.dataset, self.wanted["batch_size"]
        keep, skipped = list(shard_rows(len(data), batch_size, self.wanted["shard"])), []
        if self.on_error == "skip":
            broken = broken_images(Subset(data, keep), self.num_workers, self.progress)
            broken = {keep[place]: reason for place, reason in broken.items()}
            skipped, keep = [data.ids[row] for row in broken], [row for row in keep if row not in broken]
            if broken and not keep:
                raise broken_error(data, broken)
        ids, meta = [data.ids[row] for row in keep], self.wanted | {"skipped": skipped, "on_error": self.on_error}
        shape = (len(keep), self.source.views, self.wanted["num_features"])
        targets = data.targets[keep]
        format.create(self.partial, shape, self.wanted["dtype"], targets, data.label_names, ids, meta, batch_size)


def shard_rows(num_images: int, batch_size: int, shard: tuple[int, int] | None) -> range:
    """The rows of the i-th of n runs of whole batches; all rows where ``shard`` is None.

    >>> [shard_rows(10, 4, (i, 2)) for i in range(2)]
    [range(0, 4), range(4, 10)]
    """
    i, n = shard or (0, 1)
    batches = format.num_batches(num_images, batch_size)
    first, last = batches * i // n, batches * (i + 1) // n
    return range(first * batch_size, min(last * batch_size, num_images))


def check_shard(shard: tuple[int, int] | None) -> tuple[int, int] | None:
    """``shard`` as (i, n) with 0 ≤ i < n; InputError otherwise."""
    if shard is None:
        return None
    if isinstance(shard, str) or len(shard) != 2:
        raise InputError("shard", "(i, n) with 0 ≤ i < n", repr(shard))
    i, n = check_count("shard", shard[0]), check_positive("shard", shard[1])
    if i >= n:
        raise InputError("shard", "(i, n) with 0 ≤ i < n", (i, n))
    return i, n
