// The page as the server writes it, written again each second: what changed is changed in place, so that focus, selection
// and open details stay. Without this file the page is the same, as of when it was asked for.

const live = document.getElementById("live");
const word = document.getElementById("live-word");
const pause = document.getElementById("pause");
const main = document.getElementById("main");
let source = null;

function key(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.id || node.nodeName : node.nodeName;
}

function alike(old, fresh) {
  return old.nodeType === fresh.nodeType && key(old) === key(fresh);
}

function morph(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(old.nodeName === "DETAILS" && name === "open")) old.removeAttribute(name);
  }
  morphChildren(old, fresh);
}

// What is only between here and there goes: a node that stays where it is keeps its focus, one that is moved does not.
function reach(known, place) {
  let between = place;
  while (between && between !== known && !between.id) between = between.nextSibling;
  if (between !== known) return place;
  while (place !== known) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
  return known;
}

function morphChildren(old, fresh) {
  const named = new Map([...old.children].filter((each) => each.id).map((each) => [each.id, each]));
  let place = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const known = wanted.id ? named.get(wanted.id) : null;
    if (known) place = reach(known, place);
    if (known && known !== place) {
      old.insertBefore(known, place);
      morph(known, wanted);
    } else if (place && (known === place || (!place.id && alike(place, wanted)))) {
      morph(place, wanted);
      place = place.nextSibling;
    } else {
      old.insertBefore(wanted, place);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function show(event) {
  const fresh = document.createElement("template");
  fresh.innerHTML = event.data;
  morphChildren(main, fresh.content);
  const head = main.querySelector("#verdict");
  if (head) document.title = { good: "✓", warning: "▲", bad: "■" }[head.classList[1]] + " gatewayd";
  say("live");
}

function say(state) {
  live.dataset.state = state;
  const said = { live: "live", paused: "paused", lost: "no connection, trying again" }[state];
  if (word.textContent !== said) word.textContent = said;
  pause.textContent = state === "paused" ? "Go on" : "Pause";
}

function open() {
  source = new EventSource(live.dataset.stream);
  source.addEventListener("now", show);
  source.addEventListener("error", () => {
    say("lost");
    if (source.readyState === EventSource.CLOSED) setTimeout(() => source && open(), 3000);
  });
}

function close() {
  source.close();
  source = null;
}

pause.hidden = false;
document.getElementById("plain").hidden = true;
pause.addEventListener("click", () => {
  if (source) {
    close();
    say("paused");
  } else {
    open();
  }
});
addEventListener("pagehide", () => source && close());
addEventListener("pageshow", () => source || live.dataset.state === "paused" || open());
