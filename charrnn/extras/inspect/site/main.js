/** The page in which one looks inside a model. */

import { Sampler } from "../../page/site/network/sampler.js";
import { InspectPage } from "./inspect-page.js";
import { readReport } from "./report.js";

const textOf = (id) => document.getElementById(id).textContent;

window.charrnn = new InspectPage(new Sampler(textOf("packed-model")), readReport(textOf("report")));
