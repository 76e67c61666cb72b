"""Plans an extraction: nothing to do, the remaining batches of an interrupted extraction, or all batches."""

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlgcn_pyg.errors import Argument, InputError
from mlgcn_pyg.features.format import create
from mlgcn_pyg.features.forms import PLAIN, form_of
from mlgcn_pyg.features.header import Contents, checked_header
from mlgcn_pyg.features.loading import Progress, Views, broken_error, broken_images
from mlgcn_pyg.features.provenance import ENVIRONMENT, KEY, Difference, differences
from mlgcn_pyg.features.reading import NewerFormat, read_contents
from mlgcn_pyg.features.shards import shard_rows
from mlgcn_pyg.features.writer import FeatureWriter, merge
from mlgcn_pyg.files.atomic import check_file_name, partial_path
from mlgcn_pyg.files.locks import locked
from mlgcn_pyg.files.regular import open_file


@dataclass(frozen=True, kw_only=True)
class Plan:
    """An extraction and the files that it uses.

    Attributes:
        path: the final name.
        source: the images.
        wanted: provenance of the features to compute, with the content key.
        on_error: ``"stop"`` or ``"skip"``.
        overwrite: whether to replace a finished file, whatever its content key.
        num_workers: worker processes that decode images.
        progress: a function that is called with a number of images and a description.
        notify: a function that is called with a sentence.
    """

    path: Path
    source: Views
    wanted: dict[str, Any]
    on_error: str
    overwrite: bool
    num_workers: int
    progress: Progress | None
    notify: Callable[[str], None]

    @property
    def partial(self) -> Path:
        """The name of the unfinished file."""
        return partial_path(self.path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Locks the file against other extractions and repairs within the block.

        Raises:
            InputError: if another process is writing the file, or if it cannot be written.
        """
        check_file_name("path", self.path)
        check_file_name("path", self.partial)
        if self.partial.is_symlink():  # it would be written through
            raise InputError("path", "an unfinished file that is not a link", self.partial, "remove the link")
        with ExitStack() as lock:
            try:
                self.partial.parent.mkdir(parents=True, exist_ok=True)
                lock.enter_context(locked(self.partial))
            except OSError as error:
                raise InputError("path", "a path that can be written", f"{self.path} ({error.strerror})") from error
            yield

    def finished(self) -> bool:
        """Returns whether the finished file exists and is kept; False with ``overwrite``.

        Raises:
            InputError: if its content key differs; the error names each field that differs.
        """
        if self.overwrite or not self.path.is_file():
            return False
        # a finished file is kept in whatever form it was computed
        self._refuse_different(self.path, read_contents(self.path).meta, [name for name in KEY if name != "form"])
        return True

    def prepare(self) -> list[int] | None:
        """Creates the unfinished file, or reads the one of an interrupted extraction.

        Returns:
            The batches to compute; None if the finished file exists and is kept.

        Raises:
            InputError: if the file exists with a different content key; the error names each field that differs.
        """
        if self.finished():
            return None
        unfinished = self._unfinished()
        if unfinished is not None and self.on_error == "skip" and unfinished.meta["on_error"] == "stop":
            # the set of images may change; batches that do not change are merged below
            os.replace(self.partial, f"{self.partial}.rank-before")
            self._create(form_of(unfinished.meta))
        elif unfinished is None:
            self._create(self.wanted["form"])
        with FeatureWriter(self.partial) as writer:
            good = writer.verified(self.progress)
            if damaged := [k for k, done in enumerate(writer.contents.done) if done == 1 and not good[k]]:
                writer.discard(damaged)
                self.notify(f"{len(damaged)} finished batches of {self.partial} are damaged and will be computed again")
            missing = self.collect(writer, [k for k, is_good in enumerate(good) if not is_good])
        if unfinished is not None:
            total = writer.contents.num_batches
            self.notify(f"resuming from {self.partial}: {total - len(missing)} of {total} batches are verified")
        return missing

    def collect(self, writer: FeatureWriter, missing: list[int]) -> list[int]:
        """Merges the files of other processes of this run or of an interrupted run, and removes these files.

        Returns:
            The batches that are still missing.
        """
        wanted = self.wanted | {"form": form_of(writer.contents.meta)}
        for file in sorted(self.partial.parent.glob(f"{glob.escape(self.partial.name)}.rank*")):
            try:
                meta = read_contents(file, complete=False).meta
                same = not differences(meta, wanted, KEY + ENVIRONMENT)
            except InputError:  # the process was killed before the header was complete
                same = False
            if same:
                missing = merge(writer, file, missing)
            writer.sync()
            file.unlink()
        return missing

    def helper_file(self, rank: int) -> Path:
        """Creates a file with the same header, for the batches of another process."""
        file = self.partial.with_name(f"{self.partial.name}.rank{rank}")
        create(file, read_contents(self.partial, complete=False))
        return file

    def _unfinished(self) -> Contents | None:
        """Reads the file of an interrupted extraction with the same content key; None if there is nothing to resume."""
        if not self.partial.exists():
            return None
        try:
            contents = read_contents(self.partial, complete=False)
        except NewerFormat:
            raise
        except InputError as error:
            with open_file("path", self.partial) as file:
                start = file.read(8)
            if start not in (b"", bytes(len(start)), b"\x89HDF\r\n\x1a\n"):
                found = f"a different file, {self.partial}"
                raise InputError("path", "an unfinished feature file", found, "remove it") from error
            if start.strip(b"\0"):  # killed before the header was complete, or damaged later
                self.notify(f"{self.partial} cannot be resumed ({error}); starting again")
            return None
        fields = [name for name in KEY + ENVIRONMENT if name != "form" or form_of(contents.meta) != PLAIN]
        if not self.overwrite:
            self._refuse_different(self.partial, contents.meta, fields)
        elif self._differing(contents.meta, fields):
            return None
        return contents

    def _differing(self, meta: dict[str, Any], fields: Sequence[str]) -> list[Difference]:
        differing = differences(meta, self.wanted, fields)
        if self.on_error == "stop" and (skipped := meta.get("skipped")):
            differing.append(Difference("skipped", f"{len(skipped)} images", "none"))
        return differing

    def _refuse_different(self, path: Path, meta: dict[str, Any], fields: Sequence[str]) -> None:
        if differing := self._differing(meta, fields):
            found = f"{path} with {'; '.join(difference.text() for difference in differing)}"
            fix = ("choose a different path, or replace the file with ", Argument("overwrite", True))
            raise InputError("path", "a new file, or one with the same content key", found, fix)

    def _create(self, form: str) -> None:
        dataset, batch_size = self.source.dataset, self.wanted["batch_size"]
        kept: list[int] = list(shard_rows(len(dataset), batch_size, self.wanted["shard"]))
        skipped: list[str] = []
        if self.on_error == "skip":
            broken = broken_images(dataset, self.num_workers, self.progress, kept)
            skipped, kept = [dataset.ids[row] for row in broken], [row for row in kept if row not in broken]
            if broken and not kept:
                raise broken_error(dataset, broken)
        header = checked_header(
            (len(kept), self.source.views, self.wanted["num_features"]),
            self.wanted["dtype"],
            dataset.targets[kept],
            dataset.label_names,
            [dataset.ids[row] for row in kept],
            self.wanted | {"form": form, "skipped": skipped, "on_error": self.on_error},
            batch_size,
        )
        create(self.partial, header)
