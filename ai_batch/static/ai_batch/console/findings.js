// What a dry run found: errors by line, or tokens, cost and what the budgets have left.
import { html } from "./markup.js";
import { dollars, number, t } from "./texts.js";

/** A list of errors with their lines, and how many there are in all. */
export function Errors({ errors }) {
  const { data, count } = errors;
  return html`<div class="errors">
    <p><strong>${t("Errors: {count}", { count: number(count) })}</strong>
      ${count > data.length && ` ${t("The first {shown} are shown.", { shown: number(data.length) })}`}</p>
    <div class="scroll" tabindex="0" role="region" aria-label=${t("Errors by line")}><table>
      <thead><tr><th scope="col">${t("Line")}</th><th scope="col">${t("Field")}</th>
        <th scope="col">${t("What is wrong")}</th></tr></thead>
      <tbody>${data.map((each) => html`<tr><td>${each.line ?? "–"}</td><td><code>${each.param ?? ""}</code></td>
        <td>${each.message}</td></tr>`)}</tbody>
    </table></div></div>`;
}

function Estimate({ trial }) {
  const { estimate, budgets } = trial;
  const cost = estimate.most_cost_usd;
  const full = estimate.most_cost_without_batch_usd;
  const tight = budgets.filter((each) => !each.fits);
  return html`<dl class="figures">
      <div><dt>${t("Requests")}</dt><dd>${number(trial.total)}</dd></div>
      <div><dt>${t("Tokens in, about")}</dt><dd>${number(estimate.input_tokens)}</dd></div>
      <div><dt>${t("Tokens in and out, at most")}</dt><dd>${number(estimate.most_tokens)}</dd></div>
      <div><dt>${t("Cost, at most")}</dt><dd>${cost === null ? t("Price unknown") : dollars(cost)}</dd></div>
      ${cost !== null && Number(full) > Number(cost) && html`
        <div><dt>${t("Without a batch")}</dt><dd>${dollars(full)}</dd></div>`}
    </dl>
    ${trial.sandbox && html`<p class="hint">${t("The sandbox answers: nothing is paid.")}</p>`}
    ${tight.map((each) => html`<p class="alert">${t("The {period} budget has {left} left; this batch may take {asked}.", {
      period: t(`period.${each.period}`), left: amount(each, each.remaining), asked: amount(each, each.requested),
    })}</p>`)}`;
}

const amount = (budget, value) => (budget.unit === "usd" ? dollars(value) : `${number(value)} ${t(`unit.${budget.unit}`)}`);

export function Findings({ trial, looking }) {
  return html`<div class="findings" aria-live="polite" aria-busy=${looking}>
    ${looking && html`<p class="hint">${t("Checking…")}</p>`}
    ${trial && (trial.valid ? html`<${Estimate} trial=${trial} />` : html`<${Errors} errors=${trial.errors} />`)}
  </div>`;
}
