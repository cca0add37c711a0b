// A new batch: pasted texts, or a file; what is wrong with it and what it may cost is told before it is sent.
import { Findings } from "./findings.js";
import { Component, html } from "./markup.js";
import { Options } from "./options.js";
import { download, get, send } from "./session.js";
import { number, t } from "./texts.js";

const CHAT = "/v1/chat/completions";
const PAUSE_MS = 500;
const TABLE = /\.(csv|xlsx)$/i;
const FIRST = {
  mode: "simple", texts: "", model: "", instruction: "", limit: "500", title: "", engine: "auto",
  file: null, endpoint: CHAT, tableModel: "", template: "", attempts: "", backoff: "", notify: false,
  scheduleName: "", cron: "", zone: Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC",
};

export class Creation extends Component {
  state = { ...FIRST, models: [], trial: null, looking: false, sending: false, failed: "", over: false, sent: 0 };
  trials = 0;
  key = null;

  async componentDidMount() {
    try {
      const { models } = await get("/ai/models/");
      const able = models.filter((each) => each.callable && ["chat", "embeddings"].includes(each.kind));
      const first = able.find((each) => each.id === "gpt-4o-mini") ?? able[0];
      this.setState({ models: able });
      if (first) this.take({ model: first.id });
    } catch (error) {
      this.setState({ failed: error.message });
    }
  }

  componentWillUnmount() {
    clearTimeout(this.timer);
  }

  /** Fields change: what was found is old, and is looked for again after a pause. */
  take = (fields) => {
    this.trials += 1;
    this.key = null;
    this.setState({ ...fields, trial: null, failed: "" }, () => {
      clearTimeout(this.timer);
      this.setState({ looking: this.isReady() });
      if (this.isReady()) this.timer = setTimeout(this.look, PAUSE_MS);
    });
  };

  set = (event) => this.take({ [event.target.name]: event.target.value });

  /** Another wish is another batch: it needs no look, but a key of its own. */
  mail = (event) => {
    this.key = null;
    this.setState({ notify: event.target.checked });
  };

  isReady = () => (this.state.mode === "simple" ? this.lines().length > 0 && !!this.state.model : !!this.state.file);

  lines = () => this.state.texts.split("\n").map((text) => text.trim()).filter(Boolean);

  endpoint = () => {
    if (this.state.mode === "advanced") return this.state.endpoint;
    const model = this.state.models.find((each) => each.id === this.state.model);
    return model?.kind === "embeddings" ? "/v1/embeddings" : CHAT;
  };

  /** The name that a model has for the longest answer: the model's own schema knows. */
  limitName = async (model) => {
    this.names ??= {};
    if (!(model in this.names)) {
      const schema = await get(`/ai/models/${model}/schema/`);
      const known = Object.keys(schema.properties ?? {});
      this.names[model] = ["max_completion_tokens", "max_tokens"].find((name) => known.includes(name)) ?? null;
    }
    return this.names[model];
  };

  /** The pasted texts as a file of requests. */
  pasted = async () => {
    const { model, instruction, limit, title } = this.state;
    const url = this.endpoint();
    const limitName = url === CHAT && limit ? await this.limitName(model) : null;
    const system = instruction.trim() ? [{ role: "system", content: instruction.trim() }] : [];
    const most = limitName ? { [limitName]: Number(limit) } : {};
    const requests = this.lines().map((text, index) => ({
      custom_id: `text-${index + 1}`, method: "POST", url,
      body: url === CHAT
        ? { model, messages: [...system, { role: "user", content: text }], ...most }
        : { model, input: text },
    }));
    const name = `${title.trim().replace(/[^\p{L}\p{N} _.-]/gu, "") || "texts"}.jsonl`;
    return new File(requests.map((each) => `${JSON.stringify(each)}\n`), name, { type: "application/jsonl" });
  };

  form = async () => {
    const { mode, engine, file, tableModel, template, attempts, backoff, title } = this.state;
    const form = new FormData();
    form.set("endpoint", this.endpoint());
    form.set("engine", engine);
    if (title.trim()) form.set("metadata", JSON.stringify({ name: title.trim() }));
    if (attempts) form.set("max_attempts", attempts);
    if (backoff) form.set("backoff_seconds", backoff);
    if (this.state.notify) form.set("notify", "true");
    if (mode === "advanced" && TABLE.test(file.name)) {
      if (tableModel) form.set("model", tableModel);
      if (template.trim()) form.set("template", template.trim());
    }
    const sent = mode === "simple" ? await this.pasted() : file;
    form.set("file", sent, sent.name);
    return form;
  };

  look = async () => {
    const number = ++this.trials;
    try {
      const trial = await send("/api/batch/validate", await this.form());
      if (number === this.trials) this.setState({ trial, looking: false });
    } catch (error) {
      if (number === this.trials) this.setState({ failed: error.message, looking: false });
    }
  };

  submit = async (event) => {
    event.preventDefault();
    this.key ??= crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
    await this.act(async () => {
      const headers = { "Idempotency-Key": this.key };
      const { batch } = await send("/api/batch/create", await this.form(), "POST", headers);
      this.props.say(t("The batch was created."));
      this.props.changed(batch.id);
    });
  };

  /** Keep the file as a template, and make a batch of it again and again. */
  schedule = () => this.act(async () => {
    const { scheduleName, cron, zone, engine, notify, title, attempts, backoff } = this.state;
    const form = await this.form();
    const isTable = TABLE.test(form.get("file").name);
    const ofBatches = ["engine", "metadata", "max_attempts", "backoff_seconds", "notify"];
    for (const name of isTable ? ofBatches : [...ofBatches, "endpoint"]) form.delete(name);
    const { file } = await send("/api/batch/upload", form);
    await send("/api/batch/schedules", {
      name: scheduleName, cron, timezone: zone, engine, notify, endpoint: this.endpoint(), input_file_id: file.id,
      metadata: title.trim() ? { name: title.trim() } : null,
      max_attempts: attempts ? Number(attempts) : null, backoff_seconds: backoff ? Number(backoff) : null,
    });
    this.props.say(t("The schedule was created."));
    this.props.changed();
  });

  act = async (action) => {
    this.setState({ sending: true, failed: "" });
    try {
      await action();
      const { mode, model, engine, sent } = this.state;
      this.take({ ...FIRST, mode, model, engine, sent: sent + 1 });
    } catch (error) {
      this.setState({ failed: error.message });
    } finally {
      this.setState({ sending: false });
    }
  };

  sample = () => download("/api/batch/template", "batch-template.csv").catch((error) => {
    this.setState({ failed: error.message });
  });

  drop = (event) => {
    event.preventDefault();
    this.setState({ over: false });
    const file = event.dataTransfer?.files[0] ?? event.target.files?.[0];
    if (file) this.take({ file });
  };

  simple({ texts, model, models, instruction, limit }) {
    return html`
      <label>${t("Texts, one per line")}
        <textarea name="texts" rows="6" value=${texts} onInput=${this.set} aria-describedby="lines-count" /></label>
      <p class="hint" id="lines-count">${t("Texts: {count}", { count: number(this.lines().length) })}</p>
      <div class="fields">
        <label>${t("Model")}<select name="model" value=${model} onChange=${this.set}>
          ${models.map((each) => html`<option value=${each.id}>${each.name} · ${each.provider}</option>`)}
        </select></label>
        ${this.endpoint() === CHAT && html`<label>${t("Tokens per answer, at most")}
          <input name="limit" type="number" min="1" max="100000" value=${limit} onInput=${this.set} /></label>`}
      </div>
      ${this.endpoint() === CHAT && html`<label>${t("Instruction for every text")}
        <textarea name="instruction" rows="2" value=${instruction} onInput=${this.set}
          placeholder=${t("Translate into French.")} /></label>`}`;
  }

  advanced({ file, over }) {
    const isTable = file && TABLE.test(file.name);
    return html`
      <label class=${over ? "drop over" : "drop"} onDrop=${this.drop} onDragOver=${(event) => {
        event.preventDefault();
        if (!over) this.setState({ over: true });
      }} onDragLeave=${() => this.setState({ over: false })}>
        <span>${t("Drop a file here, or choose one: JSONL, CSV or XLSX")}</span>
        <input type="file" key=${this.state.sent} accept=".jsonl,.csv,.xlsx" onChange=${this.drop} />
        ${file && html`<strong>${file.name}</strong>`}
      </label>
      <p class="hint"><button type="button" class="link" onClick=${this.sample}>${t("A table to begin with (CSV)")}</button></p>
      <${Options} state=${this.state} set=${this.set} isTable=${isTable} />`;
  }

  render(_, state) {
    const { mode, title, trial, looking, sending, failed } = state;
    const may = trial?.valid && trial.fits && !sending;
    return html`<section aria-labelledby="creation"><h2 id="creation">${t("New batch")}</h2>
      <form class="card" onSubmit=${this.submit}>
        <fieldset class="modes"><legend>${t("Mode")}</legend>
          ${[["simple", t("Simple")], ["advanced", t("Advanced")]].map(([value, label]) => html`
            <label><input type="radio" name="mode" value=${value} checked=${mode === value}
              onChange=${this.set} /> ${label}</label>`)}
        </fieldset>
        <label>${t("Name (optional)")}<input name="title" maxlength="120" value=${title} onInput=${this.set} /></label>
        ${mode === "simple" ? this.simple(state) : this.advanced(state)}
        <label class="check"><input type="checkbox" name="notify" checked=${state.notify}
          onChange=${this.mail} /> ${t("E-mail me at the end")}</label>
        <${Findings} trial=${trial} looking=${looking} />
        ${failed && html`<p class="alert" role="alert">${failed}</p>`}
        ${sending && html`<progress aria-label=${t("Sending…")} />`}
        <div class="actions"><button disabled=${!may}>${sending ? t("Sending…") : t("Create the batch")}</button></div>
        ${this.again(state, may)}
      </form></section>`;
  }

  again({ scheduleName, cron, zone }, may) {
    return html`<details><summary>${t("Repeat it on a schedule")}</summary>
      <p class="hint">${t("{{date}} and the like in the file become the day's own when a batch is made.")}</p>
      <div class="fields">
        <label>${t("Name of the schedule")}<input name="scheduleName" value=${scheduleName} onInput=${this.set} /></label>
        <label>${t("Cron expression")}<input name="cron" value=${cron} placeholder="0 6 * * 1" onInput=${this.set}
          aria-describedby="cron-hint" /></label>
        <label>${t("Time zone")}<input name="zone" value=${zone} onInput=${this.set} /></label>
      </div>
      <p class="hint" id="cron-hint">${t("Minute, hour, day, month, weekday: 0 6 * * 1 is every Monday at 6.")}</p>
      <button type="button" class="plain" disabled=${!may || !cron} onClick=${this.schedule}>
        ${t("Save the schedule")}</button></details>`;
  }
}
