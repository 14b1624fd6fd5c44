/**
 * Checks the fields of a JSON body and words what is wrong as pydantic does, the library behind
 * OpenAI's API and every FastAPI server.
 */
export interface FieldIssue {
  readonly type: string;
  /** Where: `['body', 'voice']`. */
  readonly loc: readonly string[];
  readonly msg: string;
  readonly input: unknown;
}

export type Fields = Readonly<Record<string, unknown>>;

/** Fields without those that are null, for services to which null means absent. */
export function withoutNulls(fields: Fields, except: readonly string[] = []): Fields {
  return Object.fromEntries(
    Object.entries(fields).filter(([name, value]) => value !== null || except.includes(name)),
  );
}

export class FieldCheck {
  readonly issues: FieldIssue[] = [];
  readonly #fields: Fields;
  readonly #where: readonly string[];

  /** @param where the fields are, for `loc` */
  constructor(fields: Fields, where: readonly string[] = ['body']) {
    this.#fields = fields;
    this.#where = where;
  }

  required(...names: string[]): void {
    for (const name of names) {
      if (this.#fields[name] === undefined) {
        this.#add('missing', name, 'Field required', this.#fields);
      }
    }
  }

  text(...names: string[]): void {
    for (const name of names) {
      const value = this.#fields[name];
      if (value === undefined || typeof value === 'string') continue;
      this.#add('string_type', name, 'Input should be a valid string', value);
    }
  }

  /** In characters, not in UTF-16 units. */
  longest(maximum: number, ...names: string[]): void {
    for (const name of names) {
      const value = this.#fields[name];
      if (typeof value !== 'string' || [...value].length <= maximum) continue;
      const message = `String should have at most ${maximum} characters`;
      this.#add('string_too_long', name, message, value);
    }
  }

  notEmpty(name: string): void {
    if (this.#fields[name] !== '') return;
    this.#add('string_too_short', name, 'String should have at least 1 character', '');
  }

  oneOf(name: string, values: readonly string[], type = 'enum'): void {
    const value = this.#fields[name];
    if (value === undefined || (typeof value === 'string' && values.includes(value))) return;
    this.#add(type, name, `Input should be ${enumeration(values)}`, value);
  }

  flag(...names: string[]): void {
    for (const name of names) {
      const value = this.#fields[name];
      if (value === undefined || typeof value === 'boolean') continue;
      this.#add('bool_type', name, 'Input should be a valid boolean', value);
    }
  }

  integer(name: string, minimum: number, maximum: number): void {
    const value = this.#fields[name];
    if (typeof value === 'number' && !Number.isInteger(value)) {
      this.#add('int_type', name, 'Input should be a valid integer', value);
    } else {
      this.number(name, minimum, maximum);
    }
  }

  list(maximum: number, ...names: string[]): void {
    for (const name of names) {
      const value = this.#fields[name];
      if (value === undefined) continue;
      if (!Array.isArray(value)) {
        this.#add('list_type', name, 'Input should be a valid list', value);
      } else if (value.length > maximum) {
        const message = `List should have at most ${maximum} items after validation, not ${value.length}`;
        this.#add('too_long', name, message, value);
      }
    }
  }

  listOf(type: 'string' | 'object', name: string): void {
    const value = this.#fields[name];
    if (value === undefined) return;
    if (!Array.isArray(value)) {
      this.#add('list_type', name, 'Input should be a valid list', value);
    } else if (value.some((item) => typeof item !== type || item === null)) {
      const [issue, what] =
        type === 'string' ? ['string_type', 'string'] : ['model_attributes_type', 'dictionary'];
      this.#add(issue, name, `Every item should be a valid ${what}`, value);
    }
  }

  /** Of a binary encoding. */
  bytes(name: string): void {
    const value = this.#fields[name];
    if (value === undefined || value instanceof Uint8Array) return;
    this.#add('bytes_type', name, 'Input should be valid bytes', value);
  }

  oneOfNumbers(name: string, values: readonly number[]): void {
    const value = this.#fields[name];
    if (value === undefined) return;
    if (typeof value !== 'number') {
      this.#add('float_type', name, 'Input should be a valid number', value);
    } else if (!values.includes(value)) {
      this.#add('enum', name, `Input should be ${values.join(', ')}`, value);
    }
  }

  /** The fields of an object inside; none when it is absent or no object. */
  dictionary(name: string): Fields {
    const value = this.#fields[name];
    if (value === undefined) return {};
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Fields;
    this.#add('model_attributes_type', name, 'Input should be a valid dictionary', value);
    return {};
  }

  number(name: string, minimum: number, maximum: number): void {
    const value = this.#fields[name];
    if (value === undefined) return;
    if (typeof value !== 'number') {
      this.#add('float_type', name, 'Input should be a valid number', value);
    } else if (value < minimum) {
      const message = `Input should be greater than or equal to ${minimum}`;
      this.#add('greater_than_equal', name, message, value);
    } else if (value > maximum) {
      const message = `Input should be less than or equal to ${maximum}`;
      this.#add('less_than_equal', name, message, value);
    }
  }

  nothingBut(names: readonly string[]): void {
    for (const [name, value] of Object.entries(this.#fields)) {
      if (names.includes(name)) continue;
      this.#add('extra_forbidden', name, 'Extra inputs are not permitted', value);
    }
  }

  #add(type: string, name: string, msg: string, input: unknown): void {
    this.issues.push({ type, loc: [...this.#where, name], msg, input });
  }
}

function enumeration(values: readonly string[]): string {
  const quoted = values.map((value) => `'${value}'`);
  if (quoted.length < 2) return quoted.join('');
  return `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`;
}

/** Issues as the text of a Python list, which is how OpenAI shows them (reference, section 4.5). */
export function pythonList(issues: readonly FieldIssue[]): string {
  return pythonLiteral(issues.map((issue) => ({ ...issue, loc: new PythonTuple(issue.loc) })));
}

class PythonTuple {
  readonly items: readonly unknown[];
  constructor(items: readonly unknown[]) {
    this.items = items;
  }
}

function pythonLiteral(value: unknown): string {
  if (value === null || value === undefined) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value === 'string') {
    const escaped = value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
    if (escaped.includes("'") && !escaped.includes('"')) return `"${escaped}"`;
    return `'${escaped.replaceAll("'", "\\'")}'`;
  }
  if (value instanceof PythonTuple) return `(${value.items.map(pythonLiteral).join(', ')})`;
  if (Array.isArray(value)) return `[${value.map(pythonLiteral).join(', ')}]`;
  if (typeof value === 'object') {
    const pairs = Object.entries(value).map(
      ([name, item]) => `${pythonLiteral(name)}: ${pythonLiteral(item)}`,
    );
    return `{${pairs.join(', ')}}`;
  }
  return String(value);
}
