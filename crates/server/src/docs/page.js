// Draws the document that the server gives. Text is set as text: nothing of it is taken for markup.
"use strict";

const METHODS = ["get", "put", "post", "patch", "delete"];
const SHOWN = ["format", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "default", "const"];
const DEPTH_MAX = 5;

function make(name, options = {}, ...children) {
  const { text, ...attributes } = options;
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

function named(schema, schemas) {
  const name = typeof schema?.$ref === "string" ? schema.$ref.split("/").pop() : undefined;
  return name === undefined ? [undefined, schema ?? {}] : [name, schemas[name] ?? {}];
}

// Keywords of every part of a schema that is made of parts.
function whole(schema, schemas) {
  const [name, found] = named(schema, schemas);
  if (!Array.isArray(found.allOf)) return [name, found];
  const parts = found.allOf.map((part) => whole(part, schemas)[1]);
  const properties = Object.assign({}, ...parts.map((part) => part.properties ?? {}), found.properties ?? {});
  const required = [...parts.flatMap((part) => part.required ?? []), ...(found.required ?? [])];
  return [name, { ...Object.assign({}, ...parts), ...found, properties, required }];
}

function typeOf(schema, schemas) {
  const [name, found] = whole(schema, schemas);
  if (name !== undefined) return name;
  if (found.const !== undefined) return JSON.stringify(found.const);
  if (Array.isArray(found.type)) return found.type.join(" or ");
  if (found.type === "array") return `list of ${typeOf(found.items ?? {}, schemas)}`;
  if (found.type !== undefined) return found.type;
  const either = found.oneOf ?? found.anyOf;
  return Array.isArray(either) ? either.map((one) => typeOf(one, schemas)).join(" or ") : "anything";
}

function rulesOf(schema, schemas) {
  const [, found] = whole(schema, schemas);
  const rules = SHOWN.filter((key) => found[key] !== undefined).map((key) => `${key}: ${JSON.stringify(found[key])}`);
  if (Array.isArray(found.enum)) rules.unshift(`one of ${found.enum.map((word) => JSON.stringify(word)).join(", ")}`);
  if (found.items !== undefined && found.items.$ref === undefined) {
    const inner = rulesOf(found.items, schemas);
    if (inner !== "") rules.push(`each: ${inner}`);
  }
  return rules.join("; ");
}

function fieldsOf(schema, schemas, depth = 0) {
  const [, found] = whole(schema, schemas);
  if (depth > DEPTH_MAX) return null;
  if (found.items !== undefined) return fieldsOf(found.items, schemas, depth);
  const names = Object.keys(found.properties ?? {});
  if (names.length === 0) {
    const either = (found.oneOf ?? found.anyOf ?? []).filter((one) => one.type !== "null");
    const shown = either.map((one) => fieldsOf(one, schemas, depth)).filter((one) => one !== null);
    return shown.length === 0 ? null : make("div", {}, ...shown);
  }
  const rows = names.flatMap((name) => {
    const field = found.properties[name];
    const [, inside] = whole(field, schemas);
    const needed = (found.required ?? []).includes(name);
    const row = make(
      "tr", {},
      make("td", {}, make("code", { text: name }), needed ? make("span", { class: "required", text: " *" }) : null),
      make("td", { text: typeOf(field, schemas) }),
      make("td", { text: field.description ?? inside.description ?? "" }),
      make("td", { class: "rules", text: rulesOf(field, schemas) }),
    );
    const inner = fieldsOf(field, schemas, depth + 1);
    return inner === null ? [row] : [row, make("tr", {}, make("td", { colspan: "4" }, make("div", { class: "fields" }, inner)))];
  });
  return make("table", {}, make("tbody", {}, ...rows));
}

function contentOf(content, schemas) {
  return Object.entries(content ?? {}).map(([kind, { schema, example, examples }]) => {
    const samples = examples === undefined ? [["", example]] : Object.entries(examples).map(([name, one]) => [name, one.value]);
    return make(
      "div", {},
      make("p", {}, make("code", { text: kind }), ` ${typeOf(schema, schemas)}`),
      fieldsOf(schema, schemas),
      ...samples.filter(([, value]) => value !== undefined).map(([name, value]) =>
        make("details", {}, make("summary", { text: name === "" ? "Example" : name }),
          make("pre", { text: typeof value === "string" ? value : JSON.stringify(value, null, 2) }))),
    );
  });
}

function inside(operation, schemas) {
  const parts = [];
  if (operation.description) parts.push(make("p", { text: operation.description.replaceAll("`", "") }));
  const open = Array.isArray(operation.security) && operation.security.length === 0;
  parts.push(make("p", { text: open ? "Needs no token." : "Authorization: Bearer, with a token." }));
  if ((operation.parameters ?? []).length > 0) {
    const rows = operation.parameters.map((one) => make(
      "tr", {},
      make("td", {}, make("code", { text: one.name }), one.required ? make("span", { class: "required", text: " *" }) : null),
      make("td", { text: `${one.in}, ${typeOf(one.schema, schemas)}` }),
      make("td", { text: one.description ?? "" }),
      make("td", { class: "rules", text: rulesOf(one.schema, schemas) }),
    ));
    parts.push(make("h3", { text: "Parameters" }), make("table", {}, make("tbody", {}, ...rows)));
  }
  if (operation.requestBody !== undefined) {
    const needed = operation.requestBody.required === true ? "Body" : "Body (may be left out)";
    parts.push(make("h3", { text: needed }), ...contentOf(operation.requestBody.content, schemas));
  }
  parts.push(make("h3", { text: "Answers" }));
  for (const [status, response] of Object.entries(operation.responses)) {
    parts.push(make("details", {}, make("summary", { text: `${status}  ${response.description ?? ""}` }),
      ...contentOf(response.content, schemas)));
  }
  return make("div", { class: "inside" }, ...parts);
}

function operationsOf(described) {
  const found = [];
  for (const [path, methods] of Object.entries(described.paths)) {
    for (const method of METHODS.filter((one) => methods[one] !== undefined)) {
      found.push({ path, method, operation: methods[method] });
    }
  }
  return found;
}

function draw(described) {
  const schemas = described.components.schemas;
  document.getElementById("version").textContent = described.info.version;
  document.getElementById("about").textContent = described.info.description;
  const main = document.getElementById("operations");
  const nav = document.getElementById("tags");
  const groups = new Map();
  const drawn = [];
  for (const { path, method, operation } of operationsOf(described)) {
    const tag = operation.tags[0];
    if (!groups.has(tag)) {
      const heading = make("h2", { id: `tag-${tag.toLowerCase().replaceAll(" ", "-")}`, text: tag });
      groups.set(tag, make("section", {}, heading));
      nav.append(make("a", { href: `#${heading.id}`, text: tag }));
      main.append(groups.get(tag));
    }
    const item = make("details", { class: operation.deprecated ? "operation deprecated" : "operation", id: operation.operationId },
      make("summary", {},
        make("span", { class: "method", text: method }),
        make("span", { class: "path", text: path }),
        make("span", { class: "summary", text: operation.summary })));
    // Drawn when it is opened: all of them at once would be long.
    item.addEventListener("toggle", () => {
      if (item.open && item.querySelector(".inside") === null) item.append(inside(operation, schemas));
    });
    groups.get(tag).append(item);
    const text = `${method} ${path} ${JSON.stringify(operation)}`;
    const names = [...new Set(text.match(/schemas\/\w+/g) ?? [])].map((one) => one.slice("schemas/".length));
    const fields = names.flatMap((name) => Object.keys(schemas[name]?.properties ?? {}));
    drawn.push({ item, text: `${text} ${fields.join(" ")}`.toLowerCase() });
  }
  search(drawn, groups);
  show(location.hash);
  window.addEventListener("hashchange", () => show(location.hash));
}

function search(drawn, groups) {
  const box = document.getElementById("search");
  const count = document.getElementById("count");
  const look = () => {
    const words = box.value.toLowerCase().split(/\s+/).filter((word) => word !== "");
    let found = 0;
    for (const { item, text } of drawn) {
      item.hidden = !words.every((word) => text.includes(word));
      if (!item.hidden) found += 1;
    }
    for (const group of groups.values()) group.hidden = group.querySelector("details.operation:not([hidden])") === null;
    count.textContent = `${found} of ${drawn.length} operations`;
  };
  box.addEventListener("input", look);
  look();
}

function show(hash) {
  const item = document.getElementById(hash.slice(1));
  if (item instanceof HTMLDetailsElement) item.open = true;
  item?.scrollIntoView();
}

fetch("openapi.json")
  .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(`status ${answer.status}`))))
  .then(draw)
  .catch((error) => { document.getElementById("about").textContent = `The description cannot be read: ${error.message}`; });
