//! Parses documents, by the grammar of 2016 that the gateway's library has.

use super::document::{
    Argument, Directive, Document, Field, Fragment, Literal, LiteralValue, Name, Operation,
    OperationKind, Selection, TypeText, Variable,
};
use super::lex::{Lexer, SyntaxError, Token};

/// How deep selections, lists and objects may be nested.
const MAX_DEPTH: usize = 200;

/// Parses a document.
pub(super) fn parse(source: &str) -> Result<Document, SyntaxError> {
    let mut lexer = Lexer { source, at: 0 };
    let (token, at) = lexer.next()?;
    let mut parser = Parser {
        lexer,
        token,
        at,
        depth: 0,
    };
    let mut document = Document::default();
    while parser.token != Token::End {
        parser.definition(&mut document)?;
        if document.other.is_some() {
            break;
        }
    }
    Ok(document)
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token,
    at: usize,
    depth: usize,
}

type Parsed<T> = Result<T, SyntaxError>;

impl Parser<'_> {
    fn advance(&mut self) -> Parsed<Token> {
        let (token, at) = self.lexer.next()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn unexpected<T>(&self) -> Parsed<T> {
        Err(self
            .lexer
            .fault(self.at, &format!("Unexpected {}", self.token.shown())))
    }

    fn skip(&mut self, it: &'static str) -> Parsed<bool> {
        let is_it = self.token == Token::Punctuation(it);
        if is_it {
            self.advance()?;
        }
        Ok(is_it)
    }

    fn expect(&mut self, it: &'static str) -> Parsed<()> {
        if self.skip(it)? {
            return Ok(());
        }
        let what = format!("Expected {it}, found {}", self.token.shown());
        Err(self.lexer.fault(self.at, &what))
    }

    fn name(&mut self) -> Parsed<Name> {
        let at = self.at;
        match &self.token {
            Token::Name(_) => match self.advance()? {
                Token::Name(text) => Ok(Name { text, at }),
                _ => self.unexpected(),
            },
            other => {
                let what = format!("Expected Name, found {}", other.shown());
                Err(self.lexer.fault(at, &what))
            }
        }
    }

    /// The items between two brackets, at least one.
    fn many<T>(
        &mut self,
        open: &'static str,
        close: &'static str,
        mut item: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let at = self.at;
        self.expect(open)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.lexer.fault(at, "nested too deeply"));
        }
        let mut all = Vec::new();
        while !self.skip(close)? {
            all.push(item(self)?);
        }
        self.depth -= 1;
        if all.is_empty() {
            return Err(self
                .lexer
                .fault(at, &format!("Unexpected empty IN {open}{close}")));
        }
        Ok(all)
    }

    fn definition(&mut self, document: &mut Document) -> Parsed<()> {
        let at = self.at;
        let word = match &self.token {
            Token::Punctuation("{") => return self.operation(OperationKind::Query, at, document),
            Token::Name(word) => word.clone(),
            _ => return self.unexpected(),
        };
        let kind = match word.as_str() {
            "query" => OperationKind::Query,
            "mutation" => OperationKind::Mutation,
            "subscription" => OperationKind::Subscription,
            "fragment" => {
                self.advance()?;
                if self.token == Token::Name("on".to_owned()) {
                    return self.unexpected();
                }
                let name = self.name()?;
                if self.token != Token::Name("on".to_owned()) {
                    let what = format!("Expected \"on\", found {}", self.token.shown());
                    return Err(self.lexer.fault(self.at, &what));
                }
                self.advance()?;
                let on = self.name()?;
                let directives = self.directives()?;
                let selections = self.selections()?;
                document.add_fragment(Fragment {
                    at,
                    name,
                    on,
                    directives,
                    selections,
                });
                document.order.push(false);
                return Ok(());
            }
            other => {
                document.other = Some(match other {
                    "type" => "ObjectDefinition",
                    "schema" => "SchemaDefinition",
                    "scalar" => "ScalarDefinition",
                    "interface" => "InterfaceDefinition",
                    "union" => "UnionDefinition",
                    "enum" => "EnumDefinition",
                    "input" => "InputObjectDefinition",
                    "extend" => "TypeExtensionDefinition",
                    "directive" => "DirectiveDefinition",
                    _ => return self.unexpected(),
                });
                return Ok(());
            }
        };
        self.advance()?;
        self.operation(kind, at, document)
    }

    /// What follows the keyword of an operation; a query may have neither, and only its selections.
    fn operation(&mut self, kind: OperationKind, at: usize, document: &mut Document) -> Parsed<()> {
        let name = match self.token {
            Token::Name(_) => Some(self.name()?),
            _ => None,
        };
        let variables = match self.token {
            Token::Punctuation("(") => self.many("(", ")", Self::variable)?,
            _ => Vec::new(),
        };
        let directives = self.directives()?;
        let selections = self.selections()?;
        document.operations.push(Operation {
            kind,
            at,
            name,
            variables,
            directives,
            selections,
        });
        document.order.push(true);
        Ok(())
    }

    fn variable(&mut self) -> Parsed<Variable> {
        let at = self.at;
        self.expect("$")?;
        let name = self.name()?.text;
        self.expect(":")?;
        let of = self.type_text()?;
        let default = match self.skip("=")? {
            true => Some(self.value(true)?),
            false => None,
        };
        Ok(Variable {
            at,
            name,
            of,
            default,
        })
    }

    fn type_text(&mut self) -> Parsed<TypeText> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.lexer.fault(self.at, "nested too deeply"));
        }
        let of = if self.skip("[")? {
            let inner = self.type_text()?;
            self.expect("]")?;
            TypeText::List(Box::new(inner))
        } else {
            TypeText::Named(self.name()?)
        };
        self.depth -= 1;
        Ok(if self.skip("!")? {
            TypeText::NonNull(Box::new(of))
        } else {
            of
        })
    }

    fn directives(&mut self) -> Parsed<Vec<Directive>> {
        let mut all = Vec::new();
        while self.token == Token::Punctuation("@") {
            let at = self.at;
            self.advance()?;
            let name = self.name()?.text;
            all.push(Directive {
                at,
                name,
                arguments: self.arguments()?,
            });
        }
        Ok(all)
    }

    fn arguments(&mut self) -> Parsed<Vec<Argument>> {
        match self.token {
            Token::Punctuation("(") => self.many("(", ")", |parser| parser.argument(false)),
            _ => Ok(Vec::new()),
        }
    }

    fn argument(&mut self, is_constant: bool) -> Parsed<Argument> {
        let name = self.name()?;
        self.expect(":")?;
        Ok(Argument {
            name,
            value: self.value(is_constant)?,
        })
    }

    fn value(&mut self, is_constant: bool) -> Parsed<Literal> {
        let at = self.at;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.lexer.fault(at, "nested too deeply"));
        }
        let value = match &self.token {
            Token::Punctuation("[") => {
                self.advance()?;
                let mut all = Vec::new();
                while !self.skip("]")? {
                    all.push(self.value(is_constant)?);
                }
                LiteralValue::List(all)
            }
            Token::Punctuation("{") => {
                self.advance()?;
                let mut all = Vec::new();
                while !self.skip("}")? {
                    all.push(self.argument(is_constant)?);
                }
                LiteralValue::Object(all)
            }
            Token::Punctuation("$") if !is_constant => {
                self.advance()?;
                LiteralValue::Variable(self.name()?.text)
            }
            // graphql-syntax: there is no literal null.
            Token::Name(name) if name == "null" => return self.unexpected(),
            Token::Int(_) | Token::Float(_) | Token::String(_) | Token::Name(_) => {
                match self.advance()? {
                    Token::Int(it) => LiteralValue::Int(it),
                    Token::Float(it) => LiteralValue::Float(it),
                    Token::String(it) => LiteralValue::String(it),
                    Token::Name(it) if it == "true" || it == "false" => {
                        LiteralValue::Bool(it == "true")
                    }
                    Token::Name(it) => LiteralValue::Enum(it),
                    _ => return self.unexpected(),
                }
            }
            _ => return self.unexpected(),
        };
        self.depth -= 1;
        Ok(Literal { at, value })
    }

    fn selections(&mut self) -> Parsed<Vec<Selection>> {
        self.many("{", "}", Self::selection)
    }

    fn selection(&mut self) -> Parsed<Selection> {
        let at = self.at;
        if self.skip("...")? {
            let is_on = self.token == Token::Name("on".to_owned());
            if let (Token::Name(_), false) = (&self.token, is_on) {
                let name = self.name()?;
                return Ok(Selection::Spread {
                    at,
                    name,
                    directives: self.directives()?,
                });
            }
            let on = match is_on {
                true => {
                    self.advance()?;
                    Some(self.name()?)
                }
                false => None,
            };
            let directives = self.directives()?;
            return Ok(Selection::Inline {
                at,
                on,
                directives,
                selections: self.selections()?,
            });
        }
        let first = self.name()?.text;
        let (alias, name) = match self.skip(":")? {
            true => (Some(first), self.name()?.text),
            false => (None, first),
        };
        let arguments = self.arguments()?;
        let directives = self.directives()?;
        let selections = match self.token {
            Token::Punctuation("{") => Some((self.at, self.selections()?)),
            _ => None,
        };
        Ok(Selection::Field(Field {
            at,
            alias,
            name,
            arguments,
            directives,
            selections,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_the_gateways_words() {
        for (source, text) in [
            (
                "{ gql { ",
                "Syntax Error GraphQL request (1:9) Expected Name, found EOF\n\n1: { gql { \n           ^\n",
            ),
            (
                "{ }",
                "Syntax Error GraphQL request (1:1) Unexpected empty IN {}\n\n1: { }\n   ^\n",
            ),
            (
                "{ a(b: null) }",
                "Syntax Error GraphQL request (1:8) Unexpected Name \"null\"\n\n1: { a(b: null) }\n          ^\n",
            ),
            (
                "{\n a ?\n}",
                "Syntax Error GraphQL request (2:4) Unexpected character \"?\".\n\n1: {\n2:  a ?\n      ^\n3: }\n",
            ),
        ] {
            assert_eq!(parse(source).unwrap_err().text, text);
        }
        let deep = "{a".repeat(10_000);
        assert!(parse(&deep).unwrap_err().text.contains("nested too deeply"));
    }
}
