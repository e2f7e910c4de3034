//! The GraphQL service: books, their authors, and orders.

use async_graphql::{
    Context, EmptySubscription, Enum, Error, ErrorExtensions, ID, InputObject, Object, Schema,
    SimpleObject,
};

pub(crate) type Shop = Schema<Query, Mutation, EmptySubscription>;

pub(crate) fn shop() -> Shop {
    Schema::build(Query, Mutation, EmptySubscription)
        .data(Shelf::filled())
        .finish()
}

/// What is for sale.
struct Shelf(Vec<Book>);

impl Shelf {
    fn filled() -> Self {
        let book = |id: &str, title: &str, author: &str, genre, cents| Book {
            id: id.into(),
            title: title.to_owned(),
            author: author.to_owned(),
            genre,
            cents,
        };
        Self(vec![
            book("1", "Emma", "Jane Austen", Genre::Novel, 990),
            book("2", "Ulysses", "James Joyce", Genre::Novel, 1_450),
            book("3", "Persuasion", "Jane Austen", Genre::Novel, 850),
            book("4", "Hamlet", "William Shakespeare", Genre::Play, 620),
        ])
    }

    fn of<'a>(context: &Context<'a>) -> &'a [Book] {
        &context.data_unchecked::<Self>().0
    }

    fn book(&self, id: &ID) -> Result<&Book, Error> {
        self.0.iter().find(|book| book.id == *id).ok_or_else(|| {
            let error = Error::new(format!("there is no book {}", **id));
            error.extend_with(|_, extensions| extensions.set("code", "NOT_FOUND"))
        })
    }
}

#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
enum Genre {
    Novel,
    Play,
}

#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
enum Currency {
    Eur,
    Usd,
}

struct Book {
    id: ID,
    title: String,
    author: String,
    genre: Genre,
    cents: u32,
}

#[Object]
impl Book {
    async fn id(&self) -> &ID {
        &self.id
    }

    async fn title(&self) -> &str {
        &self.title
    }

    async fn author(&self) -> Author<'_> {
        Author(&self.author)
    }

    async fn genre(&self) -> Genre {
        self.genre
    }

    /// Of one copy.
    async fn price(&self, #[graphql(default_with = "Currency::Eur")] currency: Currency) -> f64 {
        let rate = match currency {
            Currency::Eur => 1.0,
            Currency::Usd => 1.1,
        };
        (f64::from(self.cents) * rate).round() / 100.0
    }
}

struct Author<'a>(&'a str);

#[Object]
impl Author<'_> {
    async fn name(&self) -> &str {
        self.0
    }

    async fn books<'a>(&self, context: &Context<'a>) -> Vec<&'a Book> {
        let books = Shelf::of(context).iter();
        books.filter(|book| book.author == self.0).collect()
    }
}

pub(crate) struct Query;

#[Object]
impl Query {
    /// The first books, of one genre or of all.
    async fn books<'a>(
        &self,
        context: &Context<'a>,
        #[graphql(default = 10)] first: usize,
        genre: Option<Genre>,
    ) -> Vec<&'a Book> {
        let books = Shelf::of(context).iter();
        let wanted = books.filter(|book| genre.is_none_or(|it| it == book.genre));
        wanted.take(first).collect()
    }

    async fn book<'a>(&self, context: &Context<'a>, id: ID) -> Result<&'a Book, Error> {
        context.data_unchecked::<Shelf>().book(&id)
    }
}

#[derive(InputObject)]
struct OrderInput {
    book: ID,
    #[graphql(default = 1)]
    copies: u32,
    note: Option<String>,
}

#[derive(SimpleObject)]
struct Order {
    title: String,
    copies: u32,
    total: f64,
    note: Option<String>,
}

pub(crate) struct Mutation;

#[Object]
impl Mutation {
    async fn order(&self, context: &Context<'_>, order: OrderInput) -> Result<Order, Error> {
        let book = context.data_unchecked::<Shelf>().book(&order.book)?;
        Ok(Order {
            title: book.title.clone(),
            copies: order.copies,
            total: f64::from(book.cents * order.copies) / 100.0,
            note: order.note,
        })
    }
}
