// The signed-in pages. Each module minds one thing and finds its elements by delegation.
import "./times.js";
import "./lazy.js";
import "./menus.js";
import "./desk.js";
import "./list.js";
import "./thread.js";
import "./composer.js";
import "./keys.js";
import "./title.js";

// Only for who may read alarms.
if (document.getElementById("alarm-bell")) import("./alarms.js");
