import { Component, type ReactNode } from "react";
import { words } from "@/words";
import { ProblemScreen, ReloadButton } from "./problem";

/** Catches all other errors: a sentence and an action instead of a blank page. */
export class CrashScreen extends Component<{ children: ReactNode }, { crashed: boolean }> {
  override state = { crashed: false };

  static getDerivedStateFromError(): { crashed: boolean } {
    return { crashed: true };
  }

  override render(): ReactNode {
    if (!this.state.crashed) return this.props.children;
    return (
      <main className="flex h-dvh flex-col">
        <ProblemScreen title={words.crashed} text={words.crashedText}>
          <ReloadButton />
        </ProblemScreen>
      </main>
    );
  }
}
