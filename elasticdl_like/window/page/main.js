// The page: one view for each part, drawn again when the job has changed.

import "uplot/dist/uPlot.min.css";

import { Charts } from "./charts.js";
import { Commands } from "./commands.js";
import { Coverage } from "./coverage.js";
import { openJob } from "./data.js";
import { Events } from "./events.js";
import { Headline } from "./headline.js";
import { Ledger } from "./ledger.js";
import { Workers } from "./workers.js";

const views = [];
let job = null;
let drawn = true;

function draw() {
  drawn = true;
  for (const view of views) view.draw(job);
}

function drawSoon() {
  // Once a frame at most, and not at all while nobody looks.
  if (!drawn) return;
  drawn = false;
  requestAnimationFrame(draw);
}

job = openJob(drawSoon);
views.push(new Headline(), new Charts(), new Coverage(), new Workers(), new Events(), new Ledger(), new Commands());
drawSoon();
setInterval(drawSoon, 1000);
