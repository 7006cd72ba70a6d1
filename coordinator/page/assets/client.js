import { Idiomorph } from 'idiomorph';

/**
 * Keeps the page of a running drill up to date: the stream of its events says when something changed, the page itself is asked for
 * again and merged into what is shown, so that focus and open details stay. The server made and escaped all of it.
 */
const main = document.querySelector('main[data-events]');
const soonMs = 250;
const retryMs = 1000;
const longestRetryMs = 15_000;

let state = 'connecting';
let tries = 0;
let planned = 0;
let isEnded = false;

function show(next, text) {
  state = next;
  const line = document.getElementById('live-state');
  if (line === null) return;
  line.hidden = false;
  line.dataset.state = state;
  line.textContent = text;
}

async function refresh() {
  planned = 0;
  const answer = await fetch(location.href, { headers: { accept: 'text/html' } });
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  const next = new DOMParser().parseFromString(await answer.text(), 'text/html').querySelector('main');
  const line = document.getElementById('live-state');
  const text = line?.textContent;
  await Idiomorph.morph(main, next, {
    morphStyle: 'outerHTML',
    ignoreActiveValue: true,
    callbacks: {
      // What a reader has opened stays open.
      beforeAttributeUpdated: (name, node) => !(name === 'open' && node.localName === 'details'),
    },
  });
  if (text) show(state, text);
  if (!isEnded) return;
  show('ended', 'Ended.');
}

function refreshSoon() {
  if (planned === 0) planned = setTimeout(() => refresh().catch(lost), soonMs);
}

/** A connection that broke is opened again, also by a coordinator that was restarted; what was missed comes with the next page. */
function lost() {
  if (isEnded) return;
  tries += 1;
  const wait = Math.min(longestRetryMs, retryMs * 2 ** Math.min(tries - 1, 6));
  show('lost', 'Connection lost; trying again.');
  setTimeout(follow, wait);
}

function follow() {
  const events = new EventSource(main.dataset.events);
  const close = () => events.close();
  events.addEventListener('open', () => {
    tries = 0;
    show('live', 'Live.');
  });
  for (const kind of ['experiment', 'injection']) events.addEventListener(kind, refreshSoon);
  events.addEventListener('end', () => {
    isEnded = true;
    close();
    refreshSoon();
  });
  events.addEventListener('refused', () => {
    isEnded = true;
    close();
    show('lost', 'You may no longer read this drill.');
  });
  events.addEventListener('error', () => {
    close();
    lost();
  });
}

if (main !== null) follow();
