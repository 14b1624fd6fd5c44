/**
 * Scripts for shells that complete this program's commands, options and values, made from the command table of commander. Names
 * that depend on the project (providers of a configuration, tags) are asked from the program while it completes.
 */
import type { Argument, Command, Option } from 'commander';

export const completionShells = ['bash', 'zsh', 'fish'] as const;
export type CompletionShell = (typeof completionShells)[number];

/** Lists that `completion --values` prints. */
export const completionLists = ['providers', 'devices', 'networks', 'tags'] as const;
export type CompletionList = (typeof completionLists)[number];

/** How the value of an option or an argument is completed. */
type Values =
  | { readonly kind: 'none' }
  | { readonly kind: 'words'; readonly words: readonly string[] }
  /** Names that the program knows; several are separated by commas. */
  | { readonly kind: 'names'; readonly list: CompletionList; readonly several: boolean }
  /** Files with the ending, and folders; without an ending all files. */
  | { readonly kind: 'files'; readonly ending?: string };

interface CompletedOption {
  readonly long: string;
  readonly description: string;
  /** Absent: the option has no value. */
  readonly value?: Values;
  readonly repeated: boolean;
}

interface CompletedCommand {
  /** As it is typed: `boards add`; empty for the program itself. */
  readonly name: string;
  readonly description: string;
  readonly options: readonly CompletedOption[];
  readonly argument: Values;
  /** First words behind it. */
  readonly commands: readonly { readonly name: string; readonly description: string }[];
}

/** Options whose values are names; the same option means the same in every command, but for `--board` of `run`. */
const listOfOption: Readonly<Record<string, CompletionList>> = {
  '--provider': 'providers',
  '--device': 'devices',
  '--network': 'networks',
  '--tag': 'tags',
  '--exclude-tag': 'tags',
};

const filePlaceholder = /^(file|folder|path|recording|bundle)\b|\.wav$/;

/** @param name of the program as it is typed */
export function completionScript(program: Command, shell: CompletionShell, name: string): string {
  const commands = completedCommands(program);
  switch (shell) {
    case 'bash':
      return bashScript(commands, name);
    case 'zsh':
      return zshScript(commands, name);
    case 'fish':
      return fishScript(commands, name);
  }
}

/** The program first; its options are those of its default command. */
function completedCommands(program: Command): CompletedCommand[] {
  const visit = (command: Command, path: readonly string[]): CompletedCommand[] => {
    const below = command.commands.filter((child) => !isHidden(child));
    return [
      {
        name: path.join(' '),
        description: command.description(),
        options: command.options.filter(({ hidden }) => !hidden).flatMap(completedOption),
        argument: argumentValues(command.registeredArguments.at(-1)),
        commands: below.map((child) => ({ name: child.name(), description: child.description() })),
      },
      ...below.flatMap((child) => visit(child, [...path, child.name()])),
    ];
  };
  const [top, ...rest] = visit(program, []);
  const usual = rest.find(({ name }) => name === 'run');
  return [{ ...top!, options: [...(usual?.options ?? []), ...top!.options] }, ...rest];
}

function isHidden(command: Command): boolean {
  return (command as Command & { readonly _hidden?: boolean })._hidden === true;
}

function completedOption(option: Option): CompletedOption[] {
  const { long, description, required, optional, flags } = option;
  if (long === undefined || long === null) return [];
  const repeated = /repeat it/.test(description);
  if (!required && !optional) return [{ long, description, repeated }];
  const placeholder = /[<[](.*)[>\]]/.exec(flags)?.[1] ?? '';
  return [{ long, description, repeated, value: optionValues(option, placeholder) }];
}

function optionValues({ long, argChoices }: Option, placeholder: string): Values {
  if (argChoices !== undefined) return { kind: 'words', words: argChoices };
  const list = listOfOption[long ?? ''];
  if (list !== undefined) return { kind: 'names', list, several: placeholder.endsWith('s') };
  if (long === '--server-model') return { kind: 'words', words: ['harness', 'echokit-server'] };
  if (long === '--scenario' || long === '--config' || long === '--harness-config') {
    return { kind: 'files', ending: '.toml' };
  }
  return filePlaceholder.test(placeholder) ? { kind: 'files' } : { kind: 'none' };
}

function argumentValues(argument: Argument | undefined): Values {
  if (argument === undefined) return { kind: 'none' };
  if (argument.argChoices !== undefined) return { kind: 'words', words: argument.argChoices };
  const name = argument.name();
  if (name === 'scenario') return { kind: 'files', ending: '.toml' };
  return filePlaceholder.test(name) ? { kind: 'files' } : { kind: 'none' };
}

/** In single quotes, for all three shells; `'` ends the text in each of them. */
function quoted(text: string, shell: CompletionShell): string {
  if (shell === 'fish') return `'${text.replaceAll(/[\\']/g, '\\$&')}'`;
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function functionName(program: string): string {
  return `_${program.replaceAll(/[^a-z0-9]/gi, '_')}`;
}

// bash

function bashScript(commands: readonly CompletedCommand[], program: string): string {
  const name = functionName(program);
  const paths = commands.filter((command) => command.name !== '');
  const known = paths.map((command) => {
    const parts = command.name.split(' ');
    return `      ${quoted(`${parts.slice(0, -1).join(' ')}|${parts.at(-1)}`, 'bash')}) command=${quoted(command.name, 'bash')} ;;`;
  });
  return `# bash completion of ${program}; load it with: eval "$(${program} completion bash)"
# Words of the list that fit; behind a comma the next name of a list of names.
${name}_words() {
  local before='' current=$1
  if [[ $current == *,* && $3 == several ]]; then
    before=\${current%,*},
    current=\${current##*,}
  fi
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "$2" -P "$before" -- "$current"))
  if [[ $3 == several ]]; then compopt -o nospace 2>/dev/null; fi
}

# Files with the ending (all without one), and folders.
${name}_files() {
  compopt -o filenames 2>/dev/null
  local IFS=$'\\n'
  if [[ -n $2 ]]; then
    COMPREPLY=($(compgen -d -- "$1") $(compgen -f -X "!*$2" -- "$1"))
  else
    COMPREPLY=($(compgen -f -- "$1"))
  fi
}

${name}() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]} command='' i
  COMPREPLY=()
  # --option=value comes as three words.
  if [[ $current == = ]]; then current=''; fi
  if [[ $previous == = ]]; then previous=\${COMP_WORDS[COMP_CWORD - 2]}; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$command|\${COMP_WORDS[i]}" in
${known.join('\n')}
    esac
  done
  case "$command" in
${commands.map((command) => bashCase(command, name)).join('\n')}
  esac
}
complete -F ${name} ${program}
`;
}

function bashCase(command: CompletedCommand, name: string): string {
  const lines = command.options.flatMap(({ long, value }) =>
    value === undefined ? [] : [`        ${long}) ${bashValues(value, name)}; return ;;`],
  );
  const options = [...command.options.map(({ long }) => long), '--help'].join('\n');
  const words = command.commands.map((child) => child.name).join('\n');
  const rest =
    words === ''
      ? bashValues(command.argument, name)
      : `${name}_words "$current" ${quoted(words, 'bash')}`;
  return `    ${quoted(command.name, 'bash')})
      case "$previous" in
${[...lines, '        *) ;;'].join('\n')}
      esac
      if [[ $current == -* ]]; then
        ${name}_words "$current" ${quoted(options, 'bash')}
      else
        ${rest}
      fi
      ;;`;
}

function bashValues(values: Values, name: string): string {
  switch (values.kind) {
    case 'none':
      return ':';
    case 'words':
      return `${name}_words "$current" ${quoted(values.words.join('\n'), 'bash')}`;
    case 'names':
      return `${name}_words "$current" "$("\${COMP_WORDS[0]}" completion --values ${values.list} 2>/dev/null)"${values.several ? ' several' : ''}`;
    case 'files':
      return `${name}_files "$current" ${quoted(values.ending ?? '', 'bash')}`;
  }
}

// zsh

function zshScript(commands: readonly CompletedCommand[], program: string): string {
  const name = functionName(program);
  return `#compdef ${program}
# zsh completion of ${program}; load it behind compinit with: source <(${program} completion zsh)
${name}_names() {
  local -a found
  found=("\${(@f)$(\${service:-${program}} completion --values $1 2>/dev/null)}")
  if [[ $2 == several ]]; then
    compset -P '*,'
    compadd -S '' -a found
  else
    compadd -a found
  fi
}

${commands.map((command) => zshFunction(command, program)).join('\n\n')}

compdef ${name} ${program}
`;
}

function zshFunction(command: CompletedCommand, program: string): string {
  const own = functionName(`${program} ${command.name}`.trim());
  const names = functionName(program);
  const options = command.options.map(({ long, description, value, repeated }) => {
    const text = `${long}[${zshText(description)}]`;
    const spec = value === undefined ? text : `${text}:value:${zshValues(value, names)}`;
    return quoted(repeated ? `*${spec}` : spec, 'zsh');
  });
  const help = quoted('--help[how it is used]', 'zsh');
  if (command.commands.length === 0) {
    // A message in the place of values would keep an option beside it from being inserted.
    const values = command.argument.kind === 'none' ? '()' : zshValues(command.argument, names);
    const rest = quoted(`*:argument:${values}`, 'zsh');
    return `${own}() {\n  _arguments -S ${[...options, help, rest].join(' \\\n    ')}\n}`;
  }
  const children = command.commands.map(
    (child) => `    ${quoted(`${child.name}:${child.description.replaceAll(':', '\\:')}`, 'zsh')}`,
  );
  const cases = command.commands.map(
    (child) =>
      `      ${child.name}) ${functionName(`${program} ${command.name} ${child.name}`.replaceAll(/ +/g, ' '))} ;;`,
  );
  return `${own}() {
  local curcontext=$curcontext state line
  local -a children
  children=(
${children.join('\n')}
  )
  _arguments -C -A '-*' ${[...options, help].join(' \\\n    ')} \\
    '1:command:->command' '*::argument:->argument' && return
  case $state in
    command) _describe command children ;;
    argument)
      case $line[1] in
${cases.join('\n')}
      esac
      ;;
  esac
}`;
}

function zshText(text: string): string {
  return text.replaceAll(/[\\[\]:]/g, '\\$&');
}

function zshValues(values: Values, names: string): string {
  switch (values.kind) {
    case 'none':
      return ' ';
    case 'words':
      return `(${values.words.join(' ')})`;
    case 'names':
      // The space keeps zsh from passing arguments of its own.
      return ` ${names}_names ${values.list}${values.several ? ' several' : ''}`;
    case 'files':
      return values.ending === undefined ? '_files' : `_files -g "*${values.ending}"`;
  }
}

// fish

function fishScript(commands: readonly CompletedCommand[], program: string): string {
  const name = `_${functionName(program)}`;
  const lines = commands.flatMap((command) => fishLines(command, program, name));
  return `# fish completion of ${program}; load it with: ${program} completion fish | source
# The command that has been typed: the words before the cursor that are no options, as far as they are one.
function ${name}_command
    set -l typed
    for word in (commandline -opc)[2..]
        if contains -- (string join ' ' -- $typed $word) ${commands
          .filter((command) => command.name !== '')
          .map((command) => quoted(command.name, 'fish'))
          .join(' ')}
            set -a typed $word
        end
    end
    string join ' ' -- $typed
end

function ${name}_is
    test "$(${name}_command)" = "$argv[1]"
end

# Names that the program knows; behind a comma the next one.
function ${name}_names
    set -l before (string match -r '^.*,' -- (commandline -ct | string replace -r '^--[a-z-]+=' ''))
    set -l program (commandline -opc)[1]
    for value in ($program completion --values $argv[1] 2>/dev/null)
        if test "$argv[2]" = several
            echo "$before$value"
        else
            echo $value
        end
    end
end

complete -c ${program} -f
${lines.join('\n')}
`;
}

function fishLines(command: CompletedCommand, program: string, name: string): string[] {
  const condition = `-n ${quoted(`${name}_is ${quoted(command.name, 'fish')}`, 'fish')}`;
  const line = (...parts: string[]): string =>
    ['complete', '-c', program, condition, ...parts].join(' ');
  return [
    ...command.commands.map((child) =>
      line('-a', quoted(child.name, 'fish'), '-d', quoted(child.description, 'fish')),
    ),
    ...command.options.map(({ long, description, value }) =>
      line(
        ...(long === '' ? [] : ['-l', long.slice(2)]),
        ...(value === undefined ? [] : ['-x', ...fishValues(value, name)]),
        '-d',
        quoted(description, 'fish'),
      ),
    ),
    ...(command.commands.length > 0
      ? []
      : fishArgument(command.argument, name).map((one) => line(one))),
  ];
}

function fishValues(values: Values, name: string): string[] {
  switch (values.kind) {
    case 'none':
      return [];
    case 'words':
      return ['-a', quoted(values.words.join(' '), 'fish')];
    case 'names':
      return [
        '-a',
        quoted(`(${name}_names ${values.list}${values.several ? ' several' : ''})`, 'fish'),
      ];
    case 'files':
      return ['-a', quoted(fishFiles(values.ending), 'fish')];
  }
}

function fishArgument(values: Values, name: string): string[] {
  const parts = fishValues(values, name);
  return parts.length === 0 ? [] : [parts.join(' ')];
}

function fishFiles(ending: string | undefined): string {
  return ending === undefined
    ? '(__fish_complete_path (commandline -ct))'
    : `(__fish_complete_suffix ${ending})`;
}
