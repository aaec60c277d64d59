"""When, as a loop declares it: a cron schedule, and the hours of a week in which no run starts by itself.

Both are on the wall clock of a declared time zone. A schedule is cronsim's, which follows Debian's cron where clocks
change: a time that is skipped comes at once after, and one that comes twice comes once.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_QUIET = re.compile(
    r"(?P<days>[a-z]{3}(?:[-,][a-z]{3})*)?(?:(?:^|\s+)(?P<begin>\d\d:\d\d)\s*-\s*(?P<end>\d\d:\d\d))?", re.IGNORECASE
)
_MINUTES_A_DAY = 24 * 60


def check_cron(text: str) -> str:
    """The schedule itself. Raises ValueError where it is none, or never comes."""
    from cronsim import CronSim, CronSimError

    try:
        next(CronSim(text, datetime(2025, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise ValueError(
            f"{text!r} is no schedule ({error}); expected five fields as cron has them: minute hour day month weekday, "
            'such as "0 2 * * 0"'
        ) from error
    except StopIteration as error:
        raise ValueError(f"{text!r} never comes") from error
    return text


def check_timezone(name: str) -> str:
    """The name itself. Raises ValueError where there is no such time zone."""
    try:
        ZoneInfo(name)
    # An empty name and one with a path in it are refused in other ways than an unknown one.
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {name!r}; expected a name such as UTC or Europe/Berlin") from error
    return name


def check_quiet(spans: tuple[str, ...]) -> tuple[str, ...]:
    """The quiet hours themselves. Raises ValueError where one cannot be read, or they leave no minute of a week."""
    minutes = {minute for span in spans for day, begin, end in _read(span) for minute in _minutes(day, begin, end)}
    if len(minutes) == 7 * _MINUTES_A_DAY:
        raise ValueError("the quiet hours leave no time in which a run may start")
    return spans


def last_tick(cron: str, timezone: str, now: datetime) -> datetime:
    """The newest moment of a schedule that is not after `now`, in UTC."""
    from cronsim import CronSim

    # The iterator begins before its start, and a schedule has no seconds.
    start = now.astimezone(ZoneInfo(timezone)).replace(second=0, microsecond=0) + timedelta(minutes=1)
    return next(CronSim(cron, start, reverse=True)).astimezone(UTC)


def next_tick(cron: str, timezone: str, now: datetime) -> datetime:
    """The first moment of a schedule that is after `now`, in UTC."""
    from cronsim import CronSim

    return next(CronSim(cron, now.astimezone(ZoneInfo(timezone)))).astimezone(UTC)


def quiet_until(spans: Sequence[str], timezone: str, now: datetime) -> datetime | None:
    """When the quiet hours end that `now` is in, in UTC; None where it is in none."""
    zone, found = ZoneInfo(timezone), now.astimezone(UTC)
    read = [one for span in spans for one in _read(span)]
    moved = True
    while moved:
        moved = False
        local = found.astimezone(zone).date()
        for weekday, begin, end in read:
            # A span that goes over midnight may have begun yesterday.
            for day in (local - timedelta(days=1), local):
                if day.weekday() == weekday and _at(day, begin, zone) <= found < _at(day, end, zone):
                    found, moved = _at(day, end, zone), True
    return found if found > now else None


def _at(day: date, minute: int, zone: ZoneInfo) -> datetime:
    """A minute after a day's midnight, on the wall clock, in UTC."""
    days, rest = divmod(minute, _MINUTES_A_DAY)
    moment = datetime.combine(day + timedelta(days=days), time(rest // 60, rest % 60), zone)
    return moment.astimezone(UTC)


def _read(span: str) -> list[tuple[int, int, int]]:
    """The weekday, first minute and end of each day's span; an end beyond 24 hours is on the next day."""
    match = _QUIET.fullmatch(span.strip())
    if match is None or not match[0]:
        raise ValueError(
            f'{span!r} is no span of a week; expected such as "22:00-06:00", "sat-sun" or "fri 18:00-24:00"'
        )
    begin, end = (0, _MINUTES_A_DAY) if match["begin"] is None else (_minute(match["begin"]), _minute(match["end"]))
    if end <= begin:
        end += _MINUTES_A_DAY
    return [(day, begin, end) for day in (_weekdays(match["days"]) if match["days"] else range(7))]


def _minute(text: str) -> int:
    hour, minute = (int(part) for part in text.split(":"))
    if minute > 59 or hour * 60 + minute > _MINUTES_A_DAY:
        raise ValueError(f"{text} is no time of day; expected 00:00 to 24:00")
    return hour * 60 + minute


def _weekdays(text: str) -> list[int]:
    found = []
    for part in text.lower().split(","):
        names = part.split("-")
        wrong = [name for name in names if name not in _DAYS]
        if wrong or len(names) > 2:
            raise ValueError(f"{part!r} is no weekday; expected {', '.join(_DAYS)}, or two of them with - between")
        first, last = _DAYS.index(names[0]), _DAYS.index(names[-1])
        found += [(first + step) % 7 for step in range((last - first) % 7 + 1)]
    return found


def _minutes(day: int, begin: int, end: int) -> Iterator[int]:
    for minute in range(begin, end):
        yield (day * _MINUTES_A_DAY + minute) % (7 * _MINUTES_A_DAY)
