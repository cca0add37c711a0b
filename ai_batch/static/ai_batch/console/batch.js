// One batch: how far it has come, what can be taken home, what can be done with it.
import { Errors } from "./findings.js";
import { Component, createRef, html } from "./markup.js";
import { downloadByLink, isOver, send } from "./session.js";
import { dollars, duration, moment, number, state, t } from "./texts.js";

const FORMATS = [["jsonl", "JSONL"], ["csv", "CSV"], ["xlsx", "XLSX"]];

export class BatchCard extends Component {
  state = { failed: "", busy: false };
  heading = createRef();
  asking = createRef();

  componentDidMount() {
    if (this.props.isNew) this.heading.current.focus();
  }

  act = async (action) => {
    this.setState({ failed: "", busy: true });
    try {
      await action();
    } catch (error) {
      this.setState({ failed: error.message });
    } finally {
      this.setState({ busy: false });
    }
  };

  take = (type, format) => this.act(async () => {
    const { batch, say } = this.props;
    const path = `/api/batch/${batch.id}/results?type=${type}&format=${format}&link=true`;
    await downloadByLink(path, `${batch.id}_${type}.${format}`);
    say(t("The download has begun."));
  });

  cancel = () => this.act(async () => {
    this.asking.current.close();
    const { batch } = await send(`/api/batch/${this.props.batch.id}/cancel`);
    this.props.replace(batch);
    this.props.say(t("The batch is being cancelled."));
    this.props.changed();
  });

  retry = () => this.act(async () => {
    const { batch } = await send(`/api/batch/${this.props.batch.id}/retry_failed`);
    this.props.say(t("A batch of the failed requests was created."));
    this.props.changed(batch.id);
  });

  downloads(batch, type, count, label) {
    if (!count || !batch.results_available) return null;
    return html`<div class="group" role="group" aria-label=${label}><span>${label}</span>
      ${FORMATS.map(([format, name]) => html`<button type="button" class="plain"
        onClick=${() => this.take(type, format)}>${name}</button>`)}</div>`;
  }

  facts({ progress: at, request_counts: counts, ...batch }) {
    const found = [
      at.total > 0 && t("{done} of {total} requests", { done: number(at.done), total: number(at.total) }),
      counts.failed > 0 && t("{count} failed", { count: number(counts.failed) }),
      at.lines_per_second !== null && t("{rate} per second", { rate: number(at.lines_per_second) }),
      at.seconds_left !== null && t("about {time} left", { time: duration(at.seconds_left) }),
      batch.usage.total_tokens > 0 && t("{count} tokens", { count: number(batch.usage.total_tokens) }),
      dollars(at.cost_usd),
      batch.engine && t(`engine.${batch.engine}`),
      batch.sandbox && t("sandbox"),
    ];
    return found.filter(Boolean).join(" · ");
  }

  render({ batch }, { failed, busy }) {
    const { id, status, progress, request_counts: counts, errors } = batch;
    const name = batch.metadata?.name ?? batch.input_filename ?? id;
    const mayStop = ["validating", "in_progress"].includes(status);
    return html`<li class="card batch" aria-busy=${!isOver(batch)}>
      <div class="heading"><h3 ref=${this.heading} tabindex="-1">${name}</h3>
        <span class=${`badge ${status}`}>${state(status)}</span></div>
      <p class="hint"><code>${id}</code> · ${batch.endpoint}${batch.model ? ` · ${batch.model}` : ""} ·
        ${" "}<time datetime=${new Date(batch.created_at * 1000).toISOString()}>${moment(batch.created_at)}</time></p>
      ${!(status === "failed" && !counts.total) && html`<progress max="100" value=${progress.percent}
        aria-label=${t("Progress of {name}", { name })}>${progress.percent} %</progress>`}
      <p class="facts">${number(progress.percent)} % · ${this.facts(batch)}</p>
      ${errors && html`<details><summary>${t("Why it failed")}</summary>
        <${Errors} errors=${{ data: errors.data, count: errors.count ?? errors.data.length }} /></details>`}
      ${failed && html`<p class="alert" role="alert">${failed}</p>`}
      <div class="actions">
        ${this.downloads(batch, "output", counts.completed, t("Results"))}
        ${this.downloads(batch, "error", counts.failed, t("Errors"))}
        ${mayStop && html`<button type="button" class="plain danger" disabled=${busy}
          onClick=${() => this.asking.current.showModal()}>${t("Cancel the batch")}</button>`}
        ${isOver(batch) && counts.failed > 0 && html`<button type="button" class="plain" disabled=${busy}
          onClick=${this.retry}>${t("Retry failed requests")}</button>`}
      </div>
      ${mayStop && html`<dialog ref=${this.asking} aria-labelledby=${`ask-${id}`}>
        <p id=${`ask-${id}`}>${t("Cancel {name}? What runs is finished and paid; the rest is not begun.", { name })}</p>
        <div class="actions"><button type="button" class="plain" onClick=${() => this.asking.current.close()}>
            ${t("Let it run")}</button>
          <button type="button" class="danger" onClick=${this.cancel}>${t("Cancel the batch")}</button></div>
      </dialog>`}
    </li>`;
  }
}
