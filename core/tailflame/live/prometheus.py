"""What a program tells of itself at its Prometheus endpoint, scrape by scrape.

Counters become rates, gauges stay as they are. Of a summary the quantiles are what the exporter has computed over a
window of its own; of a classic histogram they are interpolated from what its buckets gained between two scrapes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable

from tailflame.live.fetch import NoPage, address, fetch, shown
from tailflame.live.lifetime import Lifetime
from tailflame.live.scrape_readings import ScrapeReadings
from tailflame.model.live import Armed, Found, Said, Update
from tailflame.parse.prometheus_series import TEXT_LIMIT, Kind, Series, read_series

SERIES_LIMIT = 100
"""Series that are followed by themselves; each gives up to nine readings."""
_FOUND_LIMIT = 1000
_BACK_OFF_S = 5.0
_TIMEOUT_S = 5.0
START_S = 3.0
"""For how long nothing is said of an endpoint that has never answered."""
_ACCEPT = "text/plain;version=0.0.4, application/openmetrics-text;version=1.0.0;q=0.5, */*;q=0.1"

_HOUSEKEEPING = ("go_", "process_", "promhttp_", "python_", "scrape_", "jvm_", "nodejs_", "dotnet_", "net_conntrack_")
"""What client libraries tell of their runtime, whatever the program is: offered, not followed by itself."""


class PrometheusScrape:
    """Scrapes one endpoint (`LiveSource`)."""

    name = "prometheus"
    title = "Prometheus"

    def __init__(
        self, url: str, *, interval_s: float = 1.0, metrics: Iterable[str] | None = None, pid: int | None = None
    ) -> None:
        """
        url: of the endpoint; "127.0.0.1:9000" is enough.
        interval_s: scraping takes the program time, too, a millisecond or some.
        metrics: names of those to follow ("trading_stage_seconds"); None follows the program's own as far as there are
            at most 100 series, summaries and histograms first. Others are offered by `Found`, and taken by `choose`.
        pid: whose end ends this source; None never ends.

        Raises ParseError where `url` is none.
        """
        self._url = address(url, path="/metrics")
        self._interval_s = interval_s
        self._chosen = None if metrics is None else set(metrics)
        self._pid = pid
        self._wishes: dict[str, bool] = {}
        self._left_out: set[str] = set()
        self._taken: set[str] = set()
        self._offered: dict[str, str] = {}
        self._readings = ScrapeReadings()
        self._failing = ""
        self._failed_since: float | None = None
        self._answered = False
        self._said_absent = False
        self._begun: float | None = None
        """When the program began, where it tells."""
        self._words: list[Update] = []

    def choose(self, metric: str) -> None:
        """Follows one more metric, from the next scrape on; from any thread."""
        self._wishes[metric] = True

    def leave(self, metric: str) -> None:
        """Follows it no more, and offers it instead; from any thread."""
        self._wishes[metric] = False

    async def updates(self) -> AsyncGenerator[Update, None]:
        lifetime = Lifetime(self._pid)
        try:
            # Nothing answers yet where the target waits for its sources.
            yield Armed(detail=shown(self._url))
            failures = 0
            while not lifetime.ended:
                began = time.monotonic()
                updates, answered = await asyncio.to_thread(self._scrape)
                for update in updates:
                    yield update
                failures = 0 if answered else failures + 1
                pause = self._interval_s
                if not answered:
                    first = max(self._interval_s, 0.25) if self._answered else 0.25
                    pause = min(first * 2.0 ** min(failures - 1, 10), _BACK_OFF_S)
                await lifetime.wait(began + pause)
        finally:
            lifetime.close()

    def _scrape(self) -> tuple[list[Update], bool]:
        """In a thread: the readings, and whether there was an answer."""
        page = fetch(self._url, accept=_ACCEPT, timeout_s=_TIMEOUT_S, limit=TEXT_LIMIT)
        if isinstance(page, NoPage):
            return self._failed(page.reason, page.asked_s), False
        openmetrics = page.content_type.lower().startswith("application/openmetrics-text")
        try:
            series = read_series(page.text, openmetrics=openmetrics)
        except ValueError:
            reason = "what answers there is not the text of a Prometheus exporter"
            return self._failed(reason, page.asked_s), False
        updates: list[Update] = []
        if self._failing:
            away = page.asked_s - (self._failed_since or page.asked_s)
            updates += [Said(text=f"{shown(self._url)} answers again, after {away:.0f} s.")] if self._answered else []
            self._failing = ""
        self._failed_since = None
        self._answered = True
        followed = self._followed(series)
        begun = next((one.value for one in series if one.metric == "process_start_time_seconds"), self._begun)
        restarted = self._begun is not None and begun != self._begun
        self._begun = begun
        updates += self._words
        self._words = []
        return [*updates, *self._readings.of(followed, page.asked_s, self._interval_s, restarted=restarted)], True

    def _failed(self, reason: str, asked_s: float) -> list[Update]:
        updates: list[Update] = []
        if self._failed_since is None:
            self._failed_since = asked_s
        # A program that has just been started does not listen at once.
        young = not self._answered and asked_s < self._failed_since + START_S
        if reason != self._failing and not young:
            self._failing = reason
            tail = "" if self._answered else " It is tried again until it does."
            updates.append(
                Said(
                    text=f"{shown(self._url)} does not answer with metrics: {reason}.{tail}",
                    fix="Check the address, and that the program serves its metrics there.",
                )
            )
        return [*updates, *self._readings.none(asked_s, self._interval_s)]

    def _followed(self, series: tuple[Series, ...]) -> list[Series]:
        """Those to follow; offers the others."""
        metrics: dict[str, list[Series]] = {}
        for one in series:
            metrics.setdefault(one.metric, []).append(one)
        offered = len(self._offered)
        while self._wishes:
            metric, wanted = self._wishes.popitem()
            (self._taken.add if wanted else self._taken.discard)(metric)
            (self._left_out.discard if wanted else self._left_out.add)(metric)
            if not wanted:
                self._readings.forget(metric)
            offered = -1
        # What tells latencies comes first where there is too much.
        by_worth = sorted(metrics, key=lambda name: metrics[name][0].kind not in (Kind.SUMMARY, Kind.HISTOGRAM))
        room = SERIES_LIMIT - sum(len(metrics.get(name, ())) for name in self._taken)
        for name in by_worth:
            if name in self._taken:
                self._offered.pop(name, None)
                continue
            wanted = name in self._chosen if self._chosen is not None else not name.startswith(_HOUSEKEEPING)
            if wanted and name not in self._left_out and (len(metrics[name]) <= room or self._chosen is not None):
                self._taken.add(name)
                room -= len(metrics[name])
            elif len(self._offered) < _FOUND_LIMIT:
                one = metrics[name][0]
                self._offered[name] = "/s" if one.kind is Kind.COUNTER and not one.unit else one.unit
        absent = sorted((self._chosen or set()) - set(metrics))
        if absent and not self._said_absent:
            self._said_absent = True
            self._words.append(Said(text=f"{shown(self._url)} has no metric called {', '.join(absent)} yet."))
        if len(self._offered) != offered and (self._offered or offered > 0):
            self._words.append(Found(names=dict(self._offered)))
        return [one for one in series if one.metric in self._taken]
