"""Tables of bench/README.md from a result file.

    python table.py RESULTS.jsonl [--into README.md]

Prints the comparison with other engines (a step of each stage, the picture that those steps make, ratios to the best
other engine), and the operations that take most of a picture's time with their share of the machine's limit. --into
puts that between the two comments "results" of a page instead.
"""
import argparse
import collections
import contextlib
import io
import json
import os
import re
import statistics


def read(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def one_each(rows):
    """Of each stage and engine one row: ours are measured again beside every few peers, and the median counts."""
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row["name"]].append(row)
    return [{**same[0], "p50_s": statistics.median(row["p50_s"] for row in same),
             "peak_bytes": max(row["peak_bytes"] for row in same)} for same in groups.values()]


def peers_table(rows):
    rows = one_each([row for row in rows if row["bench"] == "peers"])
    if not rows:
        return
    stages = list(dict.fromkeys(row["stage"] for row in rows))
    engines = list(dict.fromkeys(row["name"].split(", ")[1] for row in rows))
    times = {(row["stage"], row["name"].split(", ")[1]): row for row in rows}
    print("| engine | " + " | ".join(f"{stage}, s a step" for stage in stages) + " | picture, s | memory, GB |")
    print("|---" * (len(stages) + 3) + "|")
    for engine in engines:
        cells, picture, peak = [], 0.0, 0
        for stage in stages:
            row = times.get((stage, engine))
            cells.append(f"{row['p50_s']:.3f}" if row else "-")
            picture = picture + row["times"] * row["p50_s"] if row else float("nan")
            peak = max(peak, row["peak_bytes"] if row else 0)
        text = f"{picture:.1f}" if picture == picture else "-"
        print(f"| {engine} | " + " | ".join(cells) + f" | {text} | {peak / 1e9:.1f} |")
    for stage in stages:
        others = [row for row in rows if row["stage"] == stage and not row["name"].split(", ")[1].startswith("unclip")]
        for row in rows:
            if row["stage"] != stage or not row["name"].split(", ")[1].startswith("unclip") or not others:
                continue
            same = [other for other in others if other["type"] == row["type"]]
            best = min(others, key=lambda other: other["p50_s"])
            text = f"{best['p50_s'] / row['p50_s']:.2f} x {best['name'].split(', ')[1]}"
            if same:
                near = min(same, key=lambda other: other["p50_s"])
                text += f", {near['p50_s'] / row['p50_s']:.2f} x the best in {row['type']}"
            print(f"\n{row['name']}: {text}", end="")
    print()


def dearest(rows, model, precision, count=10):
    rows = [row for row in rows if row.get("part") == "plan"]
    if not rows:
        return
    total = sum(row["p50_s"] * row["times"] for row in rows)
    by_op = collections.Counter()
    for row in rows:
        by_op[row["op"]] += row["p50_s"] * row["times"] / total
    print(f"\n{model}, {precision}: {total:.1f} s a picture; " + ", ".join(f"{op} {100 * part:.1f} %" for op, part in
                                                                 by_op.most_common(6)) + "\n")
    print("| operation | part of the time | ms | times | GFLOP/s | share of limit |\n|---|---|---|---|---|---|")
    for row in sorted(rows, key=lambda row: -row["p50_s"] * row["times"])[:count]:
        print(f"| {row['name']} | {100 * row['p50_s'] * row['times'] / total:.1f} % | {1e3 * row['p50_s']:.2f} | "
              f"{row['times']:g} | {row.get('flops_per_second', 0) / 1e9:.0f} | {100 * row.get('share', 0):.0f} % "
              f"({row.get('bound', '')}) |")


def pictures(rows):
    rows = [row for row in rows if row["bench"] == "cascade"]
    if rows:
        print("\n| picture | min s | p50 s | p95 s |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row['name']} ({row['type']}) | {row['min_s']:.3f} | {row['p50_s']:.3f} | {row['p95_s']:.3f} |")


def origin(rows, path, page):
    context = rows[0]["context"]
    libraries = ", ".join(f"{name} {version}" for name, version in context["libraries"].items())
    link = os.path.relpath(path, os.path.dirname(page) or ".") if page else path
    print(f"From [{link}]({link}): {context['machine']['cpu']}, {context['threads']} threads, commit "
          f"{context['commit']}, {context['compiler']}, {libraries}.\n")
    for row in rows:
        if row["name"] == "limits":
            peaks = ", ".join(f"{row[f'{name}_flops_per_second'] / 1e9:.0f} GFLOP/s {name}" for name in ("f32", "bf16")
                              if f"{name}_flops_per_second" in row)
            print(f"Limits: {row['bytes_per_second'] / 1e9:.1f} GB/s copied, {peaks}.\n")
            break


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results")
    parser.add_argument("--into")
    options = parser.parse_args()
    rows, text = read(options.results), io.StringIO()
    with contextlib.redirect_stdout(text):
        origin(rows, options.results, options.into)
        peers_table(rows)
        pictures(rows)
        measured = [row for row in rows if row["bench"] == "ops" and "type" in row]
        runs = sorted({(row["context"]["model"], row["context"]["type"]) for row in measured})
        for model, precision in runs:
            wanted = (model, precision)
            dearest([row for row in measured if (row["context"]["model"], row["context"]["type"]) == wanted], *wanted)
    if not options.into:
        print(text.getvalue(), end="")
        return
    with open(options.into, encoding="utf-8") as file:
        page = file.read()
    between = r"(<!-- results -->\n).*(<!-- end of results -->)"
    with open(options.into, "w", encoding="utf-8") as file:
        file.write(re.sub(between, lambda found: found[1] + "\n" + text.getvalue() + "\n" + found[2], page, flags=re.S))


if __name__ == "__main__":
    main()
