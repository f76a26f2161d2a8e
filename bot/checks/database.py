"""The database that gateway hosts share: can it be reached and written, are its tables ours, does its clock agree?"""

from bot.checks.result import Found
from lifecycle.settings import Settings, Shared

MOST_SKEW_S = 2.0


def database(settings: Settings) -> Found:
    where = settings.gateway_store
    if not isinstance(where, Shared):
        return Found(None, "gateway.database is not set: one host, whose keys and usage lie in its own gateway.db.")
    from gateway.shared.looking import OLDEST, look  # psycopg is only imported where it is needed
    from gateway.store import StoreError

    try:
        seen = look(where.url)
    except StoreError as error:
        advice = "Is DAYZERO_GATEWAY_DATABASE right, does it run, and does it let this host in (pg_hba.conf)?"
        return Found(False, f"The shared database can't be used: {error}.", advice)
    if seen.version < OLDEST:
        return Found(False, f"It is Postgres {seen.version}.", f"Postgres {OLDEST} or newer is needed.")
    if seen.read_only:
        return Found(False, "It takes no writes: a replica, or set so.", "Name the primary's address in the URL.")
    if seen.lacking:
        advice = f"As its owner: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {seen.user}."
        return Found(False, f"{seen.user} lacks rights: {', '.join(seen.lacking[:4])}.", advice)
    if not seen.current and not seen.may_make:
        what = "has tables of another version" if seen.made else "has no tables yet"
        advice = f"As its owner: GRANT CREATE ON SCHEMA public TO {seen.user}. The gateway then makes its tables."
        return Found(False, f"It {what}, and {seen.user} may not make any.", advice)
    if abs(seen.skew_s) > MOST_SKEW_S + seen.unsure_s:
        where_to = "ahead of" if seen.skew_s > 0 else "behind"
        advice = "Let both keep time (chrony, NTP): days of budgets and the end of keys depend on it."
        return Found(False, f"Its clock is {abs(seen.skew_s):.0f} s {where_to} this host's.", advice)
    state = "its tables are ours" if seen.current else "its tables are made when a gateway starts"
    return Found(True, f"Postgres {seen.version}, {state}, its clock agrees within {MOST_SKEW_S:g} s.")
