import { faults } from '../catalogue/catalogue.ts';
import { usage, withArguments } from './arguments.ts';
import type { Ports } from './ports.ts';

const help = (xidrill: string) => `usage: ${xidrill} completion bash|zsh|fish

The completion of commands and faults for a shell:

  bash   source <(${xidrill} completion bash)
  zsh    source <(${xidrill} completion zsh)
  fish   ${xidrill} completion fish | source
`;

/** Prints the script of one shell. `commands` are the names of all commands. */
export function runCompletion(
  commands: readonly string[],
  argv: readonly string[],
  ports: Ports,
): Promise<number> {
  return withArguments({ name: 'completion', help, options: {} }, argv, ports, async ({ words }) => {
    const [shell] = words;
    const script = shell === undefined ? undefined : scripts[shell];
    if (script === undefined || words.length > 1) throw usage('completion takes one of bash, zsh, fish');
    ports.print(script(commands.join(' '), faults.map(({ name }) => name).join(' ')));
    return 0;
  });
}

const scripts: Readonly<Record<string, (commands: string, faults: string) => string>> = {
  bash: bashScript,
  // zsh reads bash's completions with this; compinit has to be loaded first.
  zsh: (commands, names) =>
    `autoload -Uz compinit bashcompinit && compinit && bashcompinit\n${bashScript(commands, names)}`,
  fish: (commands, names) =>
    `complete -c xidrill -f\ncomplete -c xidrill -n __fish_use_subcommand -a '${commands}'\n` +
    `complete -c xidrill -n '__fish_seen_subcommand_from drill faults' -a '${names}'\n`,
};

function bashScript(commands: string, names: string): string {
  return `_xidrill() {
  local word=\${COMP_WORDS[COMP_CWORD]}
  case \${COMP_WORDS[1]} in
    drill|faults) [ "$COMP_CWORD" -gt 1 ] && COMPREPLY=($(compgen -W '${names}' -- "$word")) && return ;;
  esac
  [ "$COMP_CWORD" -eq 1 ] && COMPREPLY=($(compgen -W '${commands}' -- "$word"))
}
complete -F _xidrill xidrill
`;
}
