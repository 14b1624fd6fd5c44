/** What a written rule is: something that sees a run go by and says where it is broken. */
import type { Account, Entry } from './behaviour-player.contract.ts';
import type { BoardHistory } from './board-history.contract.ts';

/** The end of a connection travels behind the longest stall. */
const newsUs = 60_000_000;

/** One written rule. It sees every entry with the history of what was before it. */
export abstract class Rule {
  abstract readonly name: string;
  readonly history: BoardHistory;
  readonly #account: Account;
  readonly #violate: (rule: Rule, what: string) => void;

  constructor(
    history: BoardHistory,
    account: Account,
    violate: (rule: Rule, what: string) => void,
  ) {
    this.history = history;
    this.#account = account;
    this.#violate = violate;
  }

  abstract see(entry: Entry): void;

  /** Nothing comes any more. */
  end(_account: Account): void {}

  /** Somebody else ended a connection not long before; the board may feel it before it reports it. */
  protected wasCut(atUs: number): boolean {
    return this.#account.cutsUs.some((cutUs) => cutUs <= atUs && cutUs > atUs - newsUs);
  }

  protected fail(what: string): void {
    this.#violate(this, what);
  }

  protected expect(condition: boolean, what: string): void {
    if (!condition) this.fail(what);
  }
}

export type RuleClass = new (
  history: BoardHistory,
  account: Account,
  violate: (rule: Rule, what: string) => void,
) => Rule;
