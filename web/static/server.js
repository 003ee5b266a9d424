// Speaking with the server: each request carries the page's token, each refusal comes back as its sentence.

/** What the server answered, as an object; an Error with its sentence where it refused. */
export async function send(address, body) {
  const headers = {
    "X-CSRFToken": document.querySelector("meta[name=csrf]").content,
    "X-Custody-Script": "1",
  };
  if (!(body instanceof FormData || body instanceof URLSearchParams)) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(address, { method: "POST", headers, body, credentials: "same-origin" });
  } catch {
    throw new Error("The server cannot be reached. Nothing was recorded; try again.");
  }
  if ((response.headers.get("Content-Type") ?? "").startsWith("application/json")) {
    const answer = await response.json();
    if (answer.refusal !== undefined) throw new Error(answer.refusal);
    return answer;
  }
  if (!response.ok) throw new Error("The server did not answer as it should. Load the page again.");
  return { html: await response.text() };
}

/** Says when this device thinks it is. In a demo the story's clock counts, which is the server's. */
export function setTime(form, place) {
  if (!("demo" in place.dataset)) form.set("made", new Date().toISOString());
}

/** A definition list's rows. */
export function fill(list, rows) {
  list.replaceChildren(
    ...rows.map(([label, text, odd]) => {
      const row = document.createElement("div");
      if (odd) row.className = "odd";
      const dt = document.createElement("dt");
      dt.textContent = label;
      const dd = document.createElement("dd");
      for (const line of String(text).split("\n")) {
        const p = document.createElement("p");
        p.textContent = line;
        dd.append(p);
      }
      row.append(dt, dd);
      return row;
    }),
  );
}
