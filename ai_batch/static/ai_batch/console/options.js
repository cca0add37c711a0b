// The fields of the advanced mode.
import { html } from "./markup.js";
import { lists, t } from "./texts.js";

export function Options({ state, set, isTable }) {
  return html`<div class="fields">
      <label>${t("Endpoint")}<select name="endpoint" value=${state.endpoint} onChange=${set}>
        ${lists.endpoints.map((each) => html`<option>${each}</option>`)}</select></label>
      <label>${t("Engine")}<select name="engine" value=${state.engine} onChange=${set}>
        <option value="auto">${t("Automatic")}</option>
        <option value="provider">${t("The provider's batch API (half price)")}</option>
        <option value="hub">${t("The hub's workers (at once)")}</option></select></label>
      <label>${t("Attempts per request")}
        <input name="attempts" type="number" min="1" max="10" value=${state.attempts} onInput=${set} /></label>
      <label>${t("Seconds before the next attempt")}
        <input name="backoff" type="number" min="0" max="3600" value=${state.backoff} onInput=${set} /></label>
    </div>
    ${isTable && html`<div class="fields">
      <label>${t("Model for rows that name none")}
        <select name="tableModel" value=${state.tableModel} onChange=${set}>
          <option value=""></option>
          ${state.models.map((each) => html`<option value=${each.id}>${each.name}</option>`)}</select></label></div>
      <label>${t("Template: the request's body with {{column}} where a cell belongs (optional)")}
        <textarea name="template" rows="4" value=${state.template} onInput=${set} spellcheck=${false} /></label>`}`;
}
