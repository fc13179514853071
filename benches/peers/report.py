"""The tables of a run, in Markdown."""

import statistics


def markdown(result):
    about = result["corpus"]
    lines = [
        f"**corpus {about['name']}**: {about['series']:,} series, {about['samples']:,} samples, {about['raw_bytes'] / about['samples']:.0f} B a sample,"
        f" {about['body_bytes'] / about['samples']:.0f} B on the wire. {result['machine']['cores']} cores ({result['machine']['cpu']}), {result['when']}",
        "",
        *ingest(result, about["samples"]),
        "",
        *questions(result),
        "",
        *compared(result["answers"]),
    ]
    return "\n".join(lines)


def ingest(result, samples):
    yield (
        "| system | version | accepted/s | CPU-s/M to ack | settled | merged | ack p50 / p99 / max ms | RSS idle / peak / steady MiB"
        " | disk B/sample | without log | merged | written | visible after | ready, again s | load; others |"
    )
    yield "|---" * 15 + "|"
    for name, system in result["systems"].items():
        if not (of := system.get("ingest")):
            continue
        rss = of["rss_mib"]
        cells = [
            name,
            system["version"],
            f"{of['items_per_second']:,.0f}",
            f"**{of['cpu_s_per_million_acknowledged']:.2f}**",
            f"**{of['cpu_s_per_million_settled']:.2f}**",
            f"{of['cpu_s_per_million_merged']:.2f}" if "cpu_s_per_million_merged" in of else "-",
            f"{of['ack_ms_p50']:.1f} / {of['ack_ms_p99']:.0f} / {of['ack_ms_max']:.0f}",
            f"{rss['idle']:.0f} / {rss['peak']:.0f} / {rss['steady']:.0f}",
            f"{of['disk_bytes'] / samples:.2f}",
            f"{of['disk_bytes_without_log'] / samples:.2f}",
            f"{of['merged_disk_bytes'] / samples:.2f}" if "merged_disk_bytes" in of else "-",
            f"{of['written_bytes'] / samples:.1f}",
            "not in 120 s" if of["visible_s"] is None else f"{of['visible_s']:.1f} s",
            f"{of['ready_s']:.2f}, {statistics.median(system.get('ready_again_s', [0])):.2f}",
            f"{of['load_before']:.1f}; {of['others_cores']:.2f}",
        ]
        yield f"| {' | '.join(cells)} |"


def questions(result):
    asked = {name: system for name, system in result["systems"].items() if "queries" in system}
    load = ", ".join(f"{name} {statistics.median(system['others_cores']):.2f}" for name, system in asked.items())
    memory = ", ".join(f"{name} {system['rss_mib_queries']['peak']:.0f}" for name, system in asked.items())
    yield f"cold / **warm median** / CPU per run / p95 of 4 clients, ms; rows. Cores of others meanwhile: {load}. Peak RSS, MiB: {memory}"
    yield ""
    yield f"| query | {' | '.join(asked)} |"
    yield "|---" * (len(asked) + 1) + "|"
    for question in result["questions"]:
        yield f"| {question} | {' | '.join(cell(result, name, system, question) for name, system in asked.items())} |"


def cell(result, name, system, question):
    of = system["queries"][question]
    rows = result["answers"]["rows"][question].get(name, "-")
    if isinstance(rows, str):
        return f"{rows[:60]}"
    clients = f"{p95(of['clients_ms']):.0f}" if of.get("clients_ms") else "-"
    wrong = " !" if question in result["answers"]["differences"].get(name, {}) else ""
    cold, warm, cpu = (statistics.median(of[key]) for key in ("cold_ms", "warm_ms", "cpu_ms"))
    return f"{cold:.1f} / **{warm:.1f}** / {cpu:.1f} / {clients}; {rows}{wrong}"


def p95(values):
    return sorted(values)[int((len(values) - 1) * 0.95)]


def compared(of):
    if of["reference"] is None:
        yield "No system in this run promises Prometheus' answers: nothing was compared."
        return
    yield f"Answers are compared with those of {of['reference']}; `!` marks what differs by more than 2 % or in its rows."
    for name, gap in of["largest_gap"].items():
        yield f"- {name}: {len(of['differences'].get(name, {}))} differ; the rest by at most {gap:.2g}"
    for name, differences in of["differences"].items():
        for question, text in differences.items():
            yield f"  - {name}, {question}: {text}"
