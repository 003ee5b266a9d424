// A form that stays on its page until it was accepted: a refusal costs nobody what they have typed.

import { send } from "./server.js";

for (const form of document.querySelectorAll("form[data-stays]")) {
  const sentence = document.createElement("p");
  sentence.className = "refusal";
  sentence.setAttribute("role", "alert");
  sentence.hidden = true;
  form.prepend(sentence);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    sentence.hidden = true;
    try {
      const answer = await send(form.action || location.pathname, new FormData(form));
      if (answer.to !== undefined) location.assign(answer.to);
      else location.reload();
    } catch (problem) {
      sentence.textContent = problem.message;
      sentence.hidden = false;
      sentence.scrollIntoView({ block: "center" });
      button.disabled = false;
    }
  });
}
