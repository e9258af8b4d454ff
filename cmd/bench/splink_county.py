"""The peer of the identity benchmark: Splink 4 on DuckDB, on a file that `shire identity simulate` wrote.

    python splink_county.py FILE [--threads N]

It is given what somebody who knows Chinese records would give it: cleaned columns, and a model that knows citizen
numbers. Prints one JSON object; sizes are in bytes, times in seconds.
"""
import argparse
import importlib.metadata
import json
import logging
import time
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import duckdb
import splink.comparison_level_library as levels
import splink.comparison_library as compare
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

# Text as departments write it, made comparable: half-width digits, one form of a date, of a sex and of an address, 15 digits
# of a citizen number as the 18 that they became. What cannot be made so is absent.
CLEAN = r"""
create macro narrow(t) as translate(upper(coalesce(t, '')), '０１２３４５６７８９Ｘ', '0123456789X');
create macro eighteen(d) as d || substr('10X98765432', 1 + list_sum(list_transform(range(1, 18),
    lambda i: cast(substr(d, i, 1) as int) * [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2][i]))::int % 11, 1);
create macro number(d) as case
    when regexp_full_match(d, '0+|1+') then null
    when regexp_full_match(d, '[0-9]{17}[0-9X]') then d
    when regexp_full_match(d, '[0-9]{15}') then eighteen(substr(d, 1, 6) || '19' || substr(d, 7)) end;
create macro day(parts) as case
    when len(parts) = 3 then parts[1] || lpad(parts[2], 2, '0') || lpad(parts[3], 2, '0')
    when length(parts[1]) = 8 then parts[1] end;

create table people as select
    rid,
    nullif(regexp_replace(name, '[\s　·•．・.-]', '', 'g'), '') as person,
    case when substr(sex, 1, 1) in ('男', '1', 'M') then 'm' when sex <> '' then 'f' end as gender,
    day(regexp_extract_all(narrow(birth_date), '[0-9]+')) as born,
    number(regexp_replace(narrow(id_number), '[^0-9X]', '', 'g')) as idno,
    nullif(narrow(phone), '') as tel,
    nullif(regexp_replace(regexp_replace(narrow(address), '^(.*市)?(.*县)?', ''), '[0-9]+号', ''), '') as home
from raw
"""

BLOCKS = [("idno",), ("person", "born"), ("person", "tel"), ("born", "home"), ("born", "tel"), ("person", "home")]

SAME_SEQUENCE = "damerau_levenshtein(idno_l, idno_r) <= 1 and substr(idno_l, 15, 3) = substr(idno_r, 15, 3)"

# Splink decides by a probability, and no rule says which. It gets the one that is best for it, by the truth.
THRESHOLDS = [.99, .05, .2, .5, .8, .9, .95, .995, .999, .9999, .99999, .999999]


def settings():
    number = [
        levels.NullLevel("idno"),
        levels.ExactMatchLevel("idno"),
        levels.CustomLevel(SAME_SEQUENCE, label_for_charts="one slip outside the sequence"),
        levels.ElseLevel(),
    ]
    return SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="rid",
        blocking_rules_to_generate_predictions=[block_on(*columns) for columns in BLOCKS],
        comparisons=[
            compare.CustomComparison(output_column_name="idno", comparison_levels=number),
            compare.ExactMatch("person").configure(term_frequency_adjustments=True),
            compare.DamerauLevenshteinAtThresholds("born", [1]),
            compare.ExactMatch("gender"),
            compare.ExactMatch("tel"),
            compare.ExactMatch("home"),
        ],
    )


def train(linker):
    sure = [block_on("idno"), block_on("person", "born")]
    t = linker.training
    t.estimate_probability_two_random_records_match(sure, recall=.95)
    t.estimate_u_using_random_sampling(max_pairs=1e7, seed=1)
    for rule in sure:
        t.estimate_parameters_using_expectation_maximisation(rule, estimate_without_term_frequencies=True)


def scores(db, clusters):
    """Pairwise and B-cubed figures, by DuckDB itself: in Python they would take longer than the clustering."""
    both, found, true, precision, recall = db.sql(f"""
        with cells as (select cluster_id k, ent e, count(*) n from {clusters} join raw using (rid) group by all),
        shares as (select n, sum(n) over (partition by k) in_k, sum(n) over (partition by e) in_e,
            row_number() over (partition by k) first_k, row_number() over (partition by e) first_e from cells)
        select sum(n * (n - 1) // 2),
            sum(in_k * (in_k - 1) // 2) filter (first_k = 1), sum(in_e * (in_e - 1) // 2) filter (first_e = 1),
            sum(n * n / in_k) / sum(n), sum(n * n / in_e) / sum(n) from shares""").fetchall()[0]
    both, found, true = int(both), int(found), int(true)
    mean = lambda a, b: 2 * a * b / (a + b) if a + b else 0.
    p, r = both / found if found else 1., both / true if true else 1.
    return {"false_pairs": found - both, "missed_pairs": true - both, "precision": p, "recall": r, "f1": mean(p, r),
            "b_cubed": mean(precision, recall)}


def peak_memory():
    """The most that this process had resident. Not getrusage: that counts what the parent had before the exec."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


class Stopwatch:
    def __init__(self):
        self.seconds, self.since = {}, time.perf_counter()

    def lap(self, stage):
        now = time.perf_counter()
        self.seconds[stage], self.since = now - self.since, now


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("file")
    arguments.add_argument("--threads", type=int, default=2)
    arguments = arguments.parse_args()

    watch = Stopwatch()
    db = duckdb.connect()
    db.execute(f"set threads = {arguments.threads}")
    db.execute("create table raw as select * from read_csv(?, header = true, all_varchar = true)", [arguments.file])
    watch.lap("load")
    db.execute(CLEAN)
    watch.lap("clean")
    linker = Linker("people", settings(), DuckDBAPI(connection=db))
    train(linker)
    watch.lap("train")
    pairs = linker.inference.predict(threshold_match_probability=.01)
    watch.lap("predict")

    tried, peak = [], None
    for threshold in THRESHOLDS:
        began = time.perf_counter()
        clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(pairs, threshold_match_probability=threshold)
        took = time.perf_counter() - began
        peak = peak or peak_memory()  # after one clustering, and before any scoring, which is ours
        tried.append({"threshold": threshold, "seconds": took, **scores(db, clusters.physical_name)})
    best = max(tried, key=lambda t: t["f1"])
    watch.seconds["cluster"] = best["seconds"]

    rows = db.sql("select count(*) from raw").fetchall()[0][0]
    work = sum(watch.seconds[stage] for stage in ("train", "predict", "cluster"))
    print(json.dumps({
        "versions": {name: importlib.metadata.version(name) for name in ("splink", "duckdb")},
        "records": rows, "seconds": watch.seconds, "records_per_second": rows / work,
        "peak_memory_bytes": peak, "best": best, "thresholds": tried,
    }, indent=1))


main()
