import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "./index.css";
import { App } from "./screens/app";
import { CrashScreen } from "./screens/crash";
import { start } from "./state/app";

const root = document.getElementById("root");
if (root === null) throw new Error("The page has no #root.");
start();
createRoot(root).render(
  <StrictMode>
    <CrashScreen>
      <App />
    </CrashScreen>
  </StrictMode>,
);
