// Batches that come again: when, paused or not, and what they made.
import { Component, html } from "./markup.js";
import { get, send } from "./session.js";
import { moment, number, state as words, t } from "./texts.js";

export class Schedules extends Component {
  state = { schedules: null, failed: "", made: {} };

  componentDidMount() {
    this.load();
  }

  componentDidUpdate(before) {
    if (before.changes !== this.props.changes) this.load();
  }

  load = () => this.act(async () => {
    this.setState({ schedules: (await get("/api/batch/schedules")).data });
  });

  act = async (action) => {
    this.setState({ failed: "" });
    try {
      await action();
    } catch (error) {
      this.setState({ failed: error.message });
    }
  };

  pause = (each) => this.act(async () => {
    await send(`/api/batch/schedules/${each.id}`, { paused: !each.paused }, "PATCH");
    this.props.say(each.paused ? t("The schedule goes on.") : t("The schedule is paused."));
    await this.load();
  });

  remove = (each) => this.act(async () => {
    await send(`/api/batch/schedules/${each.id}`, undefined, "DELETE");
    this.props.say(t("The schedule was deleted."));
    await this.load();
  });

  history = (each) => this.act(async () => {
    const { data } = await get(`/api/batch/schedules/${each.id}/history`);
    this.setState(({ made }) => ({ made: { ...made, [each.id]: data } }));
  });

  render(_, { schedules, failed, made }) {
    return html`<section aria-labelledby="schedules"><h2 id="schedules">${t("Schedules")}</h2>
      ${failed && html`<p class="alert" role="alert">${failed}</p>`}
      ${schedules?.length === 0 && html`<p class="hint">${t("No schedules.")}</p>`}
      <ul class="batches">${schedules?.map((each) => html`<li class="card" key=${each.id}>
        <div class="heading"><h3>${each.name || each.id}</h3>
          <span class="badge">${each.paused ? t("Paused") : t("Active")}</span></div>
        <p class="facts"><code>${each.cron}</code> · ${each.timezone} · ${each.endpoint}
          ${each.next_at && ` · ${t("next: {moment}", { moment: moment(each.next_at) })}`}
          ${each.last_at && ` · ${t("last: {moment}", { moment: moment(each.last_at) })}`}</p>
        ${each.last_error && html`<p class="alert">${each.last_error}</p>`}
        <div class="actions">
          <button type="button" class="plain" onClick=${() => this.pause(each)}>${each.paused ? t("Go on") : t("Pause")}</button>
          <button type="button" class="plain" onClick=${() => this.history(each)}>${t("What it made")}</button>
          <button type="button" class="plain danger" onClick=${() => this.remove(each)}>${t("Delete")}</button>
        </div>
        ${made[each.id] && html`<ul class="made">
          ${made[each.id].length === 0 && html`<li>${t("No batches.")}</li>`}
          ${made[each.id].map((batch) => html`<li><code>${batch.id}</code> · ${words(batch.status)} ·
            ${" "}${number(batch.request_counts.completed)} / ${number(batch.request_counts.total)} ·
            ${" "}${moment(batch.created_at)}</li>`)}</ul>`}
      </li>`)}</ul></section>`;
  }
}
