"""Reads a Prometheus page."""

import collections
import re

_SAMPLE = re.compile(r"(?P<name>[A-Za-z_:][\w:]*)(?:\{(?P<labels>.*)\})? +(?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Metrics:
    """One scrape."""

    def __init__(self, text):
        self._samples = []
        for line in text.splitlines():
            sample = None if line.startswith("#") else _SAMPLE.match(line)
            if sample:
                labels = dict(_LABEL.findall(sample["labels"] or ""))
                self._samples.append((sample["name"], labels, float(sample["value"])))

    def total(self, name, **labels):
        """The sum of all samples of that name that bear these labels; 0 if there are none."""
        return sum(v for n, l, v in self._samples if n == name and labels.items() <= l.items())

    def by(self, name, label):
        """The samples of that name, summed by one of their labels."""
        sums = collections.Counter()
        for sample, labels, value in self._samples:
            if sample == name and label in labels:
                sums[labels[label]] += int(value)
        return sums

    def like(self, pattern):
        """All samples above zero whose names match, as they are written."""
        wanted = re.compile(pattern)
        for name, labels, value in self._samples:
            if value and wanted.search(name):
                text = ",".join(f'{k}="{v}"' for k, v in labels.items())
                yield f"{name}{{{text}}} {value:g}"

    def of(self, series):
        """The same for a series as it is written, such as `ramson_drops_total{cause="expired"}`."""
        sample = _SAMPLE.match(series + " 0")
        if not sample:
            raise ValueError(f"no series: {series}")
        return self.total(sample["name"], **dict(_LABEL.findall(sample["labels"] or "")))
