import "./no-eval";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "./index.css";
import { App } from "./screens/app";
import { CrashScreen } from "./screens/crash";
import { loadMarkdown } from "./screens/thread/lazy-markdown";
import { start } from "./state/app";
import { place } from "./state/router";
import { followAnchors } from "./ui/anchors";

const root = document.getElementById("root");
if (root === null) throw new Error("The page has no #root.");
start();
document.addEventListener("click", followAnchors);
if (place.getState().chat !== null) void loadMarkdown(); // a chat is shown at once
createRoot(root).render(
  <StrictMode>
    <CrashScreen>
      <App />
    </CrashScreen>
  </StrictMode>,
);
