// How many batches, requests and tokens, and what they cost.
import { Component, html } from "./markup.js";
import { download, get } from "./session.js";
import { dollars, number, t } from "./texts.js";

export class Statistics extends Component {
  state = { stats: null, failed: "" };

  componentDidMount() {
    this.load();
    this.timer = setInterval(this.load, 30_000);
  }

  componentWillUnmount() {
    clearInterval(this.timer);
  }

  componentDidUpdate(before) {
    if (before.changes !== this.props.changes) this.load();
  }

  load = async () => {
    try {
      this.setState({ stats: (await get("/api/batch/stats")).stats, failed: "" });
    } catch (error) {
      this.setState({ failed: error.message });
    }
  };

  table = async () => {
    try {
      await download("/api/batch/stats?format=csv", "batch-statistics.csv");
      this.props.say(t("The download has begun."));
    } catch (error) {
      this.setState({ failed: error.message });
    }
  };

  render(_, { stats, failed }) {
    const of = (status) => stats.by_status[status] ?? 0;
    const figures = stats && [
      [t("Batches"), number(stats.total_batches)],
      [t("In progress"), number(of("validating") + of("in_progress") + of("finalizing") + of("cancelling"))],
      [t("Requests"), number(stats.request_counts.total)],
      [t("Failed requests"), number(stats.request_counts.failed)],
      [t("Tokens"), number(stats.usage.total_tokens)],
      [t("Cost"), dollars(stats.total_cost)],
    ];
    return html`<section aria-labelledby="statistics">
      <div class="heading"><h2 id="statistics">${t("Statistics")}</h2>
        <button type="button" class="plain" onClick=${this.table}>${t("As CSV")}</button></div>
      ${failed && html`<p class="alert" role="alert">${failed}</p>`}
      <dl class="figures">${figures?.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    </section>`;
  }
}
