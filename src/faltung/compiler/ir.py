"""A small writer of textual LLVM IR: straight-line operations and counted loops with carried values."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType


class Writer:
    """Collects the lines of one function; every operation returns the name of its value."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.declarations: set[str] = set()
        self.block = "entry"
        self._names = 0

    def name(self) -> str:
        """Give a fresh value name."""
        self._names += 1
        return f"%v{self._names}"

    def op(self, text: str) -> str:
        """Append ``%new = text`` and return ``%new``."""
        result = self.name()
        self.lines.append(f"  {result} = {text}")
        return result

    def do(self, text: str) -> None:
        """Append an operation without a value."""
        self.lines.append(f"  {text}")

    def call(self, returns: str, function: str, *arguments: tuple[str, str]) -> str:
        """Call an intrinsic with (type, value) arguments, declaring it once."""
        types = ", ".join(kind for kind, _ in arguments)
        self.declarations.add(f"declare {returns} @{function}({types})")
        return self.op(f"call {returns} @{function}({', '.join(f'{k} {v}' for k, v in arguments)})")

    def run(self, function: str, *arguments: tuple[str, str]) -> None:
        """Call an intrinsic that returns nothing."""
        self.declarations.add(f"declare void @{function}({', '.join(kind for kind, _ in arguments)})")
        self.do(f"call void @{function}({', '.join(f'{k} {v}' for k, v in arguments)})")

    def offset(self, pointer: str, offset: str | int) -> str:
        """Move a pointer by bytes (never through integers: LLVM loses provenance there)."""
        return pointer if offset == 0 else self.op(f"getelementptr i8, ptr {pointer}, i64 {offset}")

    def mul(self, a: str | int, b: str | int) -> str:
        """Multiply two 64-bit integers."""
        return self.op(f"mul nsw i64 {a}, {b}")

    def add(self, a: str | int, b: str | int) -> str:
        """Add two 64-bit integers."""
        return self.op(f"add nsw i64 {a}, {b}")

    def minimum(self, a: str, b: str) -> str:
        """Give the smaller of two signed 64-bit integers."""
        return self.op(f"select i1 {self.op(f'icmp slt i64 {a}, {b}')}, i64 {a}, i64 {b}")

    def maximum(self, a: str, b: str) -> str:
        """Give the larger of two signed 64-bit integers."""
        return self.op(f"select i1 {self.op(f'icmp sgt i64 {a}, {b}')}, i64 {a}, i64 {b}")

    def parameters(self, pointer: str, count: int) -> list[str]:
        """Load the first `count` 64-bit integers behind a pointer."""
        return [self.op(f"load i64, ptr {self.offset(pointer, 8 * i)}, align 8") for i in range(count)]

    def pointer_at(self, address: str) -> str:
        """Load a pointer stored at an address (an integer cast would cost provenance)."""
        return self.op(f"load ptr, ptr {address}, align 8")

    def loop(self, count: str | int, carried: Sequence[tuple[str, str]] = (), start: int = 0) -> Loop:
        """Open ``for i in range(start, count)``; `carried` are (type, value) pairs."""
        return Loop(self, str(count), carried, start)

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """Run the lines written inside only where a comparison, such as ``icmp slt i64 %a, %b``, holds."""
        inside, after = f"when{len(self.lines)}", f"after{len(self.lines)}"
        self.do(f"br i1 {self.op(condition)}, label %{inside}, label %{after}")
        self.begin(inside)
        yield
        self.do(f"br label %{after}")
        self.begin(after)

    def begin(self, label: str) -> None:
        """Start a basic block."""
        self.lines.append(f"{label}:")
        self.block = label

    def function(self, name: str, arguments: str, vector_bits: int) -> str:
        """Close the body and return the whole module."""
        body = "\n".join(self.lines)
        declarations = "\n".join(sorted(self.declarations))
        return (
            f"define void @{name}({arguments}) #0 {{\nentry:\n{body}\n  ret void\n}}\n{declarations}\n"
            f'attributes #0 = {{ nounwind "prefer-vector-width"="{vector_bits}" '
            f'"min-legal-vector-width"="{vector_bits}" }}\n!0 = !{{i32 1}}\n'
        )


class Loop:
    """A counted loop that may run zero times; set `next` inside, read `result` after."""

    def __init__(self, writer: Writer, count: str, carried: Sequence[tuple[str, str]], start: int) -> None:
        self._writer = writer
        self._count = count
        self._carried = carried
        self._start = start
        self.next: Sequence[str] = ()
        self.result: list[str] = []

    def __enter__(self) -> Loop:
        w = self._writer
        self._head, self._end = f"head{len(w.lines)}", f"end{len(w.lines)}"
        self._before = w.block
        enters = w.op(f"icmp slt i64 {self._start}, {self._count}")
        w.do(f"br i1 {enters}, label %{self._head}, label %{self._end}")
        w.begin(self._head)
        self._phis_at = len(w.lines)
        self.index = w.name()
        self.values = [w.name() for _ in self._carried]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            return
        w = self._writer
        following = w.add(self.index, 1)
        latch = w.block
        again = w.op(f"icmp slt i64 {following}, {self._count}")
        w.do(f"br i1 {again}, label %{self._head}, label %{self._end}")
        phis = [f"  {self.index} = phi i64 [{self._start}, %{self._before}], [{following}, %{latch}]"]
        for name, (kind_, first), new in zip(self.values, self._carried, self.next, strict=True):
            phis.append(f"  {name} = phi {kind_} [{first}, %{self._before}], [{new}, %{latch}]")
        w.lines[self._phis_at : self._phis_at] = phis
        w.begin(self._end)
        self.result = [
            w.op(f"phi {kind_} [{first}, %{self._before}], [{new}, %{latch}]")
            for (kind_, first), new in zip(self._carried, self.next, strict=True)
        ]
